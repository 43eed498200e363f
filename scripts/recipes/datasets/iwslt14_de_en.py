"""IWSLT14, German to English: 160,000 pairs of talks, as fairseq trains and splits them
(fairseq:examples/translation/README.md and prepare-iwslt14.sh), in lower case."""

from recipes.common import learning_rate, warm_up
from recipes.dataset import Archive, DataSet, Needs, Recipe
from recipes.rules import share
from recipes.settings import Setting, Values

# Nobody has published a sum of this archive.
TALKS = Archive("de-en.tgz", "https://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz")
TESTS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")


def recipe(s: Values) -> Recipe:
    """Everything from the settings."""
    tests = (
        word
        for name in TESTS
        for word in ("--test", TALKS.name, f"de-en/IWSLT14.{name}.de-en.{{lang}}.xml")
    )
    return Recipe(
        title="IWSLT14 de-en, dev2010, dev2012 and tst2010 to tst2012",
        source="de",
        target="en",
        archives=(TALKS,),
        extract=("--train", TALKS.name, "de-en/train.tags.de-en.{lang}", *tests),
        valid_every=23,
        arch="transformer_iwslt_de_en",
        training=[
            "--share-decoder-input-output-embed",
            *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--clip-norm", "0.0"),
            *("--weight-decay", "0.0001", "--lr-scheduler", "inverse_sqrt"),
            *s.options(WARMUP="--warmup-updates", LR="--lr", DROPOUT="--dropout"),
            *("--label-smoothing", "0.1"),
        ],
        scoring=("--metrics", "bleu", "tokenised", "--lowercase", "--language", "en"),
    )


DATASET = DataSet(
    settings=(
        learning_rate("0.0005"),
        Setting("DROPOUT", "0.3", "", share, "train"),
        warm_up("4000"),
    ),
    recipe=recipe,
    # prepare-iwslt14.sh allows 175 words and a ratio of 1.5 words, both of Moses' tokenizer.
    defaults={
        **{"MAX_WORDS": "175", "RATIO": "2", "LOWERCASE": "1", "VOCAB": "10000"},
        **{"BATCH": "4096", "MAX_UPDATE": "50000", "BEAMS": "1 5"},
    },
    needs={
        "download": Needs(0.1, 0.1, "a minute"),
        "extract": Needs(0.1, 0.1, "a minute"),
        "clean": Needs(0.1, 0.1, "a minute"),
        "preprocess": Needs(0.2, 1, "two minutes"),
        "train": Needs(2, 8, "some hours on one GPU"),
        "generate": Needs(0.1, 4, "minutes on a GPU"),
    },
)
