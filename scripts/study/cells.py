"""What the study of path-star graphs trains. A cell is a task and a way to train it.

Every cell has the model, the batch and the learning rate of the recipe path_star, and equal
weights, unless it says otherwise.
"""

from dataclasses import dataclass, field
from typing import Any

from path_star_corpus import Stars
from recipes.datasets.path_star import SENTENCES

Options = dict[str, str]

WEIGHED = {"--teaforn-weights", "--teaforn-preset"}  # options that bring weights

STARS = {
    "2x4": Stars(2, 4, 7),
    "2x5": Stars(2, 5, 9),
    "2x7": Stars(2, 7, 13),
    "3x4": Stars(3, 4, 10),
    "5x5": Stars(5, 5, 21),
}


@dataclass(frozen=True)
class Cell:
    """A task and a way to train it.

    Attributes:
        what: for people.
        n: --teaforn-n.
        teaforn: further options of the criterion.
        stars: the graphs, a key of STARS.
        form: of the source, a key of path_star_corpus.FORMATS.
        family: of the model, a key of models.FAMILIES.
        given: settings of the recipe that are not its defaults.
        sentences: of a batch.
        updates: after which a training that has not solved the task ends.
    """

    what: str
    n: str = "3"
    teaforn: Options = field(default_factory=dict)
    stars: str = "2x5"
    form: str = "edge"
    family: str = "transformer"
    given: Options = field(default_factory=dict)
    sentences: int = SENTENCES
    updates: int = 3000

    def options(self) -> list[str]:
        """Those of the criterion, equal weights unless they are given."""
        given = {"--teaforn-n": self.n}
        if self.n not in ("1", "full") and not WEIGHED & self.teaforn.keys():
            given["--teaforn-discount"] = "1"
        merged = {**given, **self.teaforn}
        return [word for name, value in merged.items() for word in (name, value) if word]


def last(n: int) -> Options:
    """Weights of N steps: 1, and 3 for the last, which sees the least gold."""
    return {"--teaforn-weights": ",".join(["1"] * (n - 1) + ["3"])}


# 420 edges to learn, each a word: wider, and more graphs a batch.
WIDE = {
    "given": {"WIDTH": "128", "FFN": "256", "HEADS": "8", "LR": "0.002"},
    "sentences": 256,
}


# The first decoder alone that began to find the way where an edge is two words.
SHALLOW = {"LAYERS": "3", "DECODER_LAYERS": "1", "FFN": "256", "LR": "0.005"}
SHALLOW |= {"POSITIONS": "learned"}


def _both(name: str, what: str, updates: int = 6000, **task: Any) -> dict[str, Cell]:
    """Teacher forcing and look-ahead on another task.

    N = l - 2: the last node is the goal, and with the one before it the way back begins.
    """
    task["updates"] = updates
    n = STARS[task.get("stars", "2x5")].length - 2
    ahead = Cell(f"{what}: N = {n}, the last one weighs 3", str(n), last(n), **task)
    forced = Cell(f"{what}: teacher forcing", "1", **task)
    return {f"{name}-n1": forced, f"{name}-n{n}": ahead}


CELLS: dict[str, Cell] = {
    "n1": Cell("teacher forcing", "1", updates=6000),
    "n2": Cell("N = 2", "2"),
    "n3": Cell("N = 3"),
    "n4": Cell("N = 4", "4"),
    "n5": Cell("N = 5", "5"),
    "full": Cell("full", "full"),
    "n2-half": Cell("N = 2, discount 0.5", "2", {"--teaforn-discount": "0.5"}),
    "n3-half": Cell("N = 3, discount 0.5", "3", {"--teaforn-discount": "0.5"}),
    "n5-half": Cell("N = 5, discount 0.5", "5", {"--teaforn-discount": "0.5"}),
    "n3-last": Cell("N = 3, weights 1, 1, 3", "3", last(3)),
    "n3-normalized": Cell("N = 3, normalized", "3", {"--teaforn-normalize": ""}),
    "n3-last-normalized": Cell(
        "N = 3, weights 1, 1, 3, normalized", "3", last(3) | {"--teaforn-normalize": ""}
    ),
    "topk": Cell("feedback topk", "3", {"--teaforn-feedback": "topk"}),
    "gumbel": Cell("feedback gumbel", "3", {"--teaforn-feedback": "gumbel"}),
    "argmax": Cell("feedback argmax", "3", {"--teaforn-feedback": "argmax"}),
    "detach": Cell("gradient cut", "3", {"--teaforn-detach": ""}),
    "shifted": Cell("shifted labels", "3", {"--teaforn-labels": "shifted"}),
    "scheduled-sampling": Cell(
        "scheduled sampling, ramp of 1,000 updates",
        "2",
        {"--teaforn-preset": "scheduled-sampling", "--teaforn-mix": "linear:1000"},
    ),
    "sample-half": Cell("half of the positions", "3", {"--teaforn-sample-positions": "0.5"}),
    "sample-quarter": Cell("a quarter of them", "3", {"--teaforn-sample-positions": "0.25"}),
    "every-2": Cell("every 2nd update", "3", {"--teaforn-every": "2"}),
    "every-4": Cell("every 4th update", "3", {"--teaforn-every": "4"}),
    # The flag makes them 4 times as heavy: 1, 1, 1 where they run.
    "every-4-unscaled": Cell(
        "every 4th update, weights 1, 1, 1 there",
        "3",
        {"--teaforn-every": "4", "--teaforn-weights": "1,0.25,0.25"},
    ),
    **_both("2x4", "G(2, 4)", stars="2x4"),
    **_both("2x7", "G(2, 7)", stars="2x7"),
    **_both("3x4", "G(3, 4)", stars="3x4"),
    **_both("5x5", "G(5, 5)", stars="5x5", **WIDE),
    **_both("lm", "decoder alone", 12000, family="transformer_lm"),
    **_both(
        "words",
        "words, decoder alone",
        30000,
        form="words",
        family="transformer_lm",
        given=SHALLOW,
    ),
    "words-encoder-n1": Cell("words, encoder: teacher forcing", "1", form="words", updates=8000),
    "words-encoder-n3": Cell(
        "words, encoder: N = 3 from update 1,200 on, normalized",
        "1@0,3@1200",
        {"--teaforn-normalize": ""},
        form="words",
        updates=8000,
    ),
}
