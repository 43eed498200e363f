"""fairseq-train's options for the models of the study: those of the recipe path_star, turned into
other families too."""

from recipes import engine
from recipes.datasets import find, path_star

from study.cells import STARS, Cell
from study.data import SYMBOL

RECIPE = "path_star"
# A convolution sees the token on each side; the decoder's, which is causal, the two before.
NEIGHBOURS = "[3,3]"


def model_options(cell: Cell) -> list[str]:
    """Task, architecture, optimizer, learning rate and batches of a cell."""
    stars = STARS[cell.stars]
    sizes = {"ARMS": stars.arms, "LENGTH": stars.length, "NAMES": stars.names}
    given = {name: str(value) for name, value in sizes.items()} | {"FORMAT": cell.form}
    s = engine.values_of(RECIPE, find(RECIPE), given)
    words = [*path_star.recipe(s).training, "--batch-size", str(path_star.SENTENCES)]
    return {"transformer": transformer, "lightconv": lightconv, "transformer_lm": decoder_alone}[
        cell.family
    ](words, s["WIDTH"])


def transformer(words: list[str], _: str) -> list[str]:
    """The recipe's."""
    return ["--arch", "teaforn_transformer", *words]


def lightconv(words: list[str], width: str) -> list[str]:
    """Convolutions in place of self-attention."""
    sizes = [
        word
        for side in ("encoder", "decoder")
        for word in (f"--{side}-conv-dim", width, f"--{side}-kernel-size-list", NEIGHBOURS)
    ]
    kinds = ("weight", "attention", "relu", "input")
    off = [word for kind in kinds for word in (f"--{kind}-dropout", "0")]
    return ["--arch", "teaforn_lightconv", *words, *sizes, *off]


def decoder_alone(words: list[str], width: str) -> list[str]:
    """A language model with as many layers as encoder and decoder have together."""
    task = ["--task", "language_modeling", "--sample-break-mode", "eos"]
    task += ["--tokens-per-sample", "512", "--teaforn-prompt-end", SYMBOL]
    kept, skip = [], False
    for word, value in zip(words, [*words[1:], ""], strict=True):
        if skip or word.startswith("--encoder"):
            skip = word.startswith("--encoder") and not value.startswith("--")
            continue
        kept.append(word)
    kept[kept.index("--share-all-embeddings")] = "--share-decoder-input-output-embed"
    at = kept.index("--decoder-layers") + 1
    kept[at] = str(2 * int(kept[at]))
    kept += ["--decoder-output-dim", width]
    return ["--arch", "teaforn_transformer_lm", *task, *kept]
