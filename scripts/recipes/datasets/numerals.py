"""Numerals and dates, English to German: written by numerals_corpus.py, nothing to download. What
scripts/quickstart.sh trains."""

from recipes.common import count_gpus, learning_rate, processes_of, warm_up
from recipes.dataset import DataSet, Needs, Recipe, check_shape, shape, shape_options
from recipes.rules import whole
from recipes.settings import Setting, Values


def recipe(s: Values) -> Recipe:
    """Everything from the settings."""
    return Recipe(
        title="numerals and dates, English to German",
        source="en",
        target="de",
        corpus=("numerals_corpus.py", "--seed", s["SEED"]),
        arch="transformer",
        training=[
            *shape_options(s),
            *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)"),
            *s.options(LR="--lr", WARMUP="--warmup-updates"),
            *("--lr-scheduler", "polynomial_decay"),
            *s.options(MAX_UPDATE="--total-num-update"),
        ],
        run=f"n{s['N']}",  # the seed is the corpus's too
    )


DATASET = DataSet(
    settings=(
        *shape(layers="2", width=128, ffn=256, heads=4, dropout=0),
        learning_rate("0.004"),
        warm_up("200"),
        Setting("SEED", "1", "of the corpus and of the training", whole(), "extract"),
    ),
    recipe=recipe,
    extras="demo",
    check=check_shape,
    defaults={
        **{"VOCAB": "400", "MAX_UPDATE": "700", "MAX_TOKENS": "2000", "FP16": "0"},
        "GPUS": lambda s: min(count_gpus(), "1"),
        "BATCH": lambda s: str(processes_of(s) * s.whole("MAX_TOKENS")),
    },
    needs={
        "train": Needs(0.2, 2, "minutes on two CPU cores"),
        "generate": Needs(0.1, 1, "a minute"),
    },
)
