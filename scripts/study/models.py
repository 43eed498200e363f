"""fairseq-train's options for the models of the study: those of the recipe path_star, and
what a language model has of them."""

from recipes import engine
from recipes.datasets import find, path_star
from recipes.settings import Values

from study.cells import STARS, Cell
from study.data import SYMBOL

RECIPE = "path_star"
ALREADY = ("--share-all-embeddings", "--decoder-layers")  # what a language model says otherwise


def model_options(cell: Cell) -> list[str]:
    """Task, architecture, optimizer, learning rate and batches of a cell."""
    s = settings(cell)
    words = [*path_star.recipe(s).training, "--batch-size", str(cell.sentences)]
    return FAMILIES[cell.family](words, s)


def settings(cell: Cell) -> Values:
    """The recipe's for the graphs of a cell."""
    stars = STARS[cell.stars]
    sizes = {"ARMS": stars.arms, "LENGTH": stars.length, "NAMES": stars.names}
    graphs = {name: str(value) for name, value in sizes.items()} | {"FORMAT": cell.form}
    return engine.values_of(RECIPE, find(RECIPE), graphs | cell.given)


def transformer(words: list[str], _: Values) -> list[str]:
    """The recipe's."""
    return ["--arch", "teaforn_transformer", *words]


def decoder_alone(words: list[str], s: Values) -> list[str]:
    """A language model with as many layers as encoder and decoder have together."""
    task = ["--task", "language_modeling", "--sample-break-mode", "eos"]
    task += ["--tokens-per-sample", "512", "--teaforn-prompt-end", SYMBOL]
    layers = str(s.whole("LAYERS") + s.whole("DECODER_LAYERS"))
    sizes = ["--decoder-layers", layers]
    sizes += ["--decoder-input-dim", s["WIDTH"], "--decoder-output-dim", s["WIDTH"]]
    ours = ["--share-decoder-input-output-embed", *without_encoder(words), *sizes]
    return ["--arch", "teaforn_transformer_lm", *task, *ours]


def without_encoder(words: list[str]) -> list[str]:
    """Options that a language model has as well."""
    kept, dropping = [], False
    for word in words:
        if word.startswith("--"):
            dropping = word.startswith("--encoder") or word in ALREADY
        if not dropping:
            kept.append(word)
    return kept


FAMILIES = {
    "transformer": transformer,
    "transformer_lm": decoder_alone,
}
