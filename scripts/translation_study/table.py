"""The table of scores, which grows a line at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Lock

from study.rows import append, read, refuse_mixing

from translation_study.arms import ARMS, BASELINE
from translation_study.trainings import Run

SETS = {"test_2016_flickr": "test", "valid": "valid"}  # fairseq's name of each
FILE = "scores.tsv"
SIGNIFICANCE = "significance.tsv"


@dataclass(frozen=True)
class Score:
    """What one model's translations of a set with a beam are worth.

    Attributes:
        pair: languages, as in en-de.
        arm: its name.
        seed: of the training.
        set: a key of SETS.
        beam: of the search.
        bleu: sacreBLEU, 0 to 100.
        chrf: chrF2, 0 to 100.
        brevity_penalty: BLEU's, 0 to 1.
        length_ratio: tokens of the hypotheses to those of the references.
        sentences_per_second: of fairseq-generate, next to whatever else ran.
        device: that translated: cpu or cuda, and the precision.
        updates: of the training.
        seconds: that they took, next to whatever else ran; None: unknown.
        precision: of the training.
        options: digest of what it was told.
    """

    pair: str
    arm: str
    seed: int
    set: str
    beam: int
    bleu: float
    chrf: float
    brevity_penalty: float
    length_ratio: float
    sentences_per_second: float
    device: str
    updates: int
    seconds: float | None
    precision: str
    options: str

    @property
    def cell(self) -> tuple[str, str, int]:
        """What arms are compared in: pair, set and beam."""
        return self.pair, self.set, self.beam


class Table:
    """The results on disk.

    Args:
        folder: of scores.tsv, hypotheses and what comes of them; made when the first is added.
    """

    def __init__(self, folder: Path):
        self.folder, self.lock = folder, Lock()

    def scores(self) -> list[Score]:
        """All that there are, in the order of the arms and seeds."""
        order = list(ARMS)
        rows = [as_score(row) for row in read(self.folder / FILE) if row["arm"] in order]
        return sorted(rows, key=lambda x: (x.cell, order.index(x.arm), x.seed))

    def missing(self, run: Run, sets: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Sets and beams for which a run has no line."""
        mine = [x for x in self.scores() if (x.pair, x.arm, x.seed) == named(run)]
        there = {(x.set, x.beam) for x in mine}
        return [x for x in sets if x not in there]

    def check(self, runs: Iterable[Run]) -> None:
        """Refuse to mix scores of different options in one arm, and of precisions in a pair.

        Raises:
            ValueError: the table has scores of a run that was told something else.
        """
        scores = self.scores()
        for run in {(run.pair, run.name): run for run in runs}.values():
            mine = [x for x in scores if (x.pair, x.arm) == (run.pair, run.name)]
            if any(x.options != run.digest for x in mine):
                # p of the others is of their difference to the baseline.
                tested = f"all of {run.pair} out of" if run.name == BASELINE else "of"
                tables = f"{FILE} and {tested} {SIGNIFICANCE}"
                refuse_mixing(self.folder, tables, f"{run.pair} {run.name}")

    def check_precision(self, pair: str, precision: str) -> None:
        """Refuse to compare trainings of different precision.

        Raises:
            ValueError: the table has others of the pair.
        """
        others = {x.precision for x in self.scores() if x.pair == pair} - {precision}
        if others:
            raise ValueError(
                f"--results: {self.folder} holds {pair} trained in {others.pop()}; received a"
                f" training in {precision}. Choose another folder."
            )

    def hypotheses(self, pair: str, arm: str, seed: int, name: str, beam: int) -> Path:
        """Where the translations of a set are kept."""
        return self.folder / "hypotheses" / pair / f"{arm}-{seed}-{name}-beam{beam}.gz"

    def add(self, score: Score) -> None:
        """Keep a line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        row = ["" if value is None else value for value in asdict(score).values()]
        with self.lock:
            append(self.folder / FILE, [x.name for x in fields(Score)], [row])
            shown = (score.pair, score.arm, score.seed, score.set, score.beam, score.bleu)
            print(*shown, sep="\t", flush=True)


def named(run: Run) -> tuple[str, str, int]:
    """By what a run is known in the table."""
    return run.pair, run.name, run.seed


def as_score(row: dict[str, str]) -> Score:
    """From text."""
    kinds = {"seed": int, "beam": int, "updates": int} | dict.fromkeys(
        ("bleu", "chrf", "brevity_penalty", "length_ratio", "sentences_per_second"), float
    )
    values = {name: kinds.get(name, str)(value) for name, value in row.items()}
    return Score(**{**values, "seconds": float(row["seconds"]) if row["seconds"] else None})
