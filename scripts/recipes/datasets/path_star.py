"""Path-star graphs, a task that teacher forcing does not learn and TeaForN does: written by
path_star_corpus.py, nothing to download. What scripts/quickstart.sh trains first."""

import re

from path_star_corpus import FORMATS, Stars, check_lines

from recipes.common import SUBWORDS, count_gpus, learning_rate, processes_of, warm_up
from recipes.dataset import DataSet, Needs, Recipe, check_shape, shape, shape_options
from recipes.errors import Refused
from recipes.rules import choice, whole
from recipes.settings import Default, Setting, Values

SENTENCES = 128  # of a batch
FLAGS = ("ARMS", "LENGTH", "NAMES", "FORMAT", "TRAIN_LINES", "TEST_LINES")
POSITIONS = {
    "learned": ("--encoder-learned-pos", "--decoder-learned-pos"),
    # Scaled as usual, words are several times as loud, and an encoder that has to learn which of
    # them are neighbours, and so an edge, does not.
    "even": ("--no-scale-embedding", "--layernorm-embedding"),
}


def by_format(edge: str, words: str) -> Default:
    """A default where an edge is one word, and where it is two."""
    return lambda s: words if s["FORMAT"] == "words" else edge


def stars(s: Values) -> Stars:
    """The graphs.

    Raises:
        Refused: there are none.
    """
    try:
        return Stars(s.whole("ARMS"), s.whole("LENGTH"), s.whole("NAMES"))
    except ValueError as error:
        raise Refused(as_settings(error)) from error


def as_settings(error: ValueError) -> str:
    """A message of the corpus script with the names of the settings: TEST_LINES, --test-lines."""
    return re.sub(r"--([a-z-]+)", lambda x: x[1].replace("-", "_").upper(), str(error))


def check(s: Values) -> None:
    """Graphs and lines that there can be, and heads that fit.

    Raises:
        Refused: there cannot, or they do not.
    """
    check_shape(s)
    try:
        check_lines(stars(s), s.whole("TRAIN_LINES"), s.whole("TEST_LINES"))
    except ValueError as error:
        raise Refused(as_settings(error)) from error
    tokens = stars(s).source_tokens(s["FORMAT"])
    if tokens > s.whole("MAX_SUBWORDS"):
        raise Refused(
            f"ARMS={s['ARMS']}, LENGTH={s['LENGTH']}: make sources of {tokens} words; received"
            f" MAX_SUBWORDS={s['MAX_SUBWORDS']}. Lower them."
        )


def batch_tokens(s: Values) -> str:
    """SENTENCES sources with their ends: all are equally long, and longer than the targets."""
    return str(SENTENCES * (stars(s).source_tokens(s["FORMAT"]) + 1))


def recipe(s: Values) -> Recipe:
    """Everything from the settings."""
    flags = {name: f"--{name.lower().replace('_', '-')}" for name in FLAGS}
    return Recipe(
        title=f"path-star graphs, {s['ARMS']} arms of {s['LENGTH']} nodes, {s['NAMES']} names",
        source="graph",
        target="path",
        corpus=("path_star_corpus.py", *s.options(**flags, CORPUS_SEED="--seed")),
        words=True,
        arch="transformer",
        training=[
            *shape_options(s),
            *("--encoder-normalize-before", "--decoder-normalize-before"),
            *POSITIONS[s["POSITIONS"]],
            *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--clip-norm", "1.0"),
            *s.options(LR="--lr", WARMUP="--warmup-updates"),
            *("--lr-scheduler", "fixed", "--report-accuracy"),
        ],
        generation=[],
        scoring=("--metrics", "exact", "--chance", f"{100 / s.whole('ARMS'):.2f}"),
    )


DATASET = DataSet(
    settings=(
        Setting("ARMS", "2", "of a graph", whole(2, 100), "extract"),
        Setting("LENGTH", "5", "nodes of an arm, the start counted", whole(2, 100), "extract"),
        Setting("NAMES", "9", "to draw those of the nodes from", whole(1), "extract"),
        Setting("FORMAT", "edge", "of the source; edge: an edge is a word, words: two and a bar",
                choice(*FORMATS), "extract"),
        Setting("TRAIN_LINES", "200000", "graphs of training", whole(1), "extract"),
        Setting("TEST_LINES", "500", "graphs of validation, and of the test", whole(1), "extract"),
        Setting("CORPUS_SEED", "1", "of the graphs; SEED is the training's", whole(), "extract"),
        Setting("POSITIONS", by_format("learned", "even"),
                "of words; learned, or even: sinusoids that are as loud as the words",
                choice(*POSITIONS), "train"),
        *shape(layers=by_format("6", "4"), decoder_layers=by_format("1", "6"), width=64, ffn=128,
               heads=4, dropout=0),
        learning_rate(by_format("0.004", "0.002")),
        warm_up("400"),
    ),
    recipe=recipe,
    extras="demo",
    check=check,
    defaults={
        **{"N": by_format("3", "1@0,3@1200"), "DISCOUNT": "1", "LABEL_SMOOTHING": "0"},
        "MAX_UPDATE": by_format("1600", "8000"),
        # The last step has the most to learn: it sees the least gold.
        "WEIGHTS": lambda s: "" if s["N"] != "3" or s.given("DISCOUNT") else "1,1,3",
        **{"BEAMS": "1", "FP16": "0", "MAX_TOKENS": batch_tokens},
        "GPUS": lambda s: min(count_gpus(), "1"),
        "BATCH": lambda s: str(processes_of(s) * s.whole("MAX_TOKENS")),
    },
    without=SUBWORDS,
    needs={
        "extract": Needs(0.1, 0.1, "a minute"),
        "preprocess": Needs(0.2, 1, "a minute"),
        "train": Needs(0.2, 2, "minutes on a CPU core, half an hour with words"),
        "generate": Needs(0.1, 1, "a minute"),
    },
)  # fmt: skip
