"""Summarization from a pretrained BART (fairseq:examples/bart/README.summarization.md)."""

from recipes.common import SUBWORDS, learning_rate, warm_up
from recipes.dataset import Archive, DataSet, Needs, Recipe
from recipes.rules import choice
from recipes.settings import Setting, Values

# The sums of GPT-2's subwords are in openai/tiktoken, tiktoken_ext/openai_public.py. Nobody has
# published one of BART's archives.
GPT2 = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"
MODELS = "https://dl.fbaipublicfiles.com/fairseq/models"
ENCODER = Archive(
    "encoder.json",
    f"{GPT2}/encoder.json",
    1042301,
    "sha256:196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
)
VOCABULARY = Archive(
    "vocab.bpe",
    f"{GPT2}/vocab.bpe",
    456318,
    "sha256:1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
)
DEFAULTS = {"BATCH": str(8 * 2048 * 4), "MAX_TOKENS": "2048", "MAX_UPDATE": "20000"}
DEFAULTS |= {"BEAMS": "1 4 8"}


def summarization(
    title: str,
    *,
    archives: tuple[Archive, ...],
    extract: tuple[str, ...],
    lengths: tuple[str, ...],
    needs: dict[str, Needs],
) -> DataSet:
    """The entry of a data set; its archives and extract.py's options for them, fairseq-generate's
    options for lengths, and needs by stage."""

    def recipe(s: Values) -> Recipe:
        bart = f"bart.{s['SIZE']}"
        folder = f"{s['OUT']}/{bart}"
        model = Archive(f"{bart}.tar.gz", f"{MODELS}/{bart}.tar.gz")
        return Recipe(
            title=title,
            source="src",
            target="tgt",
            archives=(*archives, model, ENCODER, VOCABULARY),
            extract=extract,
            bart=bart,
            arch=f"bart_{s['SIZE']}",
            training=["--finetune-from-model", f"{folder}/model.pt", *training(s)],
            generation=[
                *("--truncate-source", "--bpe", "gpt2"),
                *("--gpt2-encoder-json", f"{folder}/encoder.json"),
                *("--gpt2-vocab-bpe", f"{folder}/vocab.bpe", "--no-repeat-ngram-size", "3"),
                *lengths,
            ],
            scoring=("--metrics", "rouge"),
        )

    return DataSet(
        settings=(
            Setting("SIZE", "large", "base or large", choice("base", "large"), "train"),
            learning_rate("3e-05"),
            warm_up("500"),
        ),
        without=SUBWORDS,
        recipe=recipe,
        defaults=DEFAULTS,
        needs=needs,
    )


def training(s: Values) -> list[str]:
    """fairseq-train's options."""
    return [
        *("--task", "translation", "--truncate-source"),
        *("--share-all-embeddings", "--share-decoder-input-output-embed", "--layernorm-embedding"),
        *("--optimizer", "adam", "--adam-betas", "(0.9, 0.999)", "--adam-eps", "1e-08"),
        *("--weight-decay", "0.01", "--clip-norm", "0.1", "--lr-scheduler", "polynomial_decay"),
        *s.options(LR="--lr", WARMUP="--warmup-updates", MAX_UPDATE="--total-num-update"),
        *("--dropout", "0.1", "--attention-dropout", "0.1", "--label-smoothing", "0.1"),
    ]
