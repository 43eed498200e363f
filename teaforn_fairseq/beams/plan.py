"""What ``teaforn-beams`` has been asked for: systems, beams, texts and options of the search."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PLUGIN = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cell:
    """A checkpoint and a beam.

    Attributes:
        label: of the system.
        seed: the checkpoint's place among those of the label, from 1.
        beam: of the search.
        checkpoint: itself.
        folder: of its texts.
    """

    label: str
    seed: int
    beam: int
    checkpoint: Path
    folder: Path

    def __str__(self) -> str:
        return f"{self.label} seed {self.seed} beam {self.beam}"


@dataclass(frozen=True)
class Plan:
    """What has been asked for.

    Attributes:
        data: folder that fairseq-preprocess wrote.
        subset: of it, which is translated.
        systems: the checkpoints of each label, one a seed; the first label is the baseline.
        beams: in ascending order.
        metrics: names, keys of metrics.COLUMNS.
        reference: raw text of the target side.
        source: raw text of the source side; None: what fairseq-generate prints of it.
        out: folder of the results.
        options: of fairseq-generate, the same for all.
    """

    data: Path
    subset: str
    systems: dict[str, list[Path]]
    beams: Sequence[int]
    metrics: Sequence[str]
    reference: Path
    source: Path | None
    out: Path
    options: Sequence[str]

    @property
    def baseline(self) -> str:
        """The label with which the others are compared."""
        return next(iter(self.systems))

    def cells(self) -> list[Cell]:
        """All, seed by seed, so that an interrupted run has compared all systems once."""
        return [
            Cell(label, seed, beam, paths[seed - 1], self.folder(label, seed, beam))
            for seed in range(1, len(self.systems[self.baseline]) + 1)
            for label, paths in self.systems.items()
            for beam in self.beams
        ]

    def folder(self, label: str, seed: int, beam: int) -> Path:
        """Where the texts of a cell are."""
        return self.out / "systems" / label / f"seed{seed}" / f"beam{beam}"

    def generation(self, beam: int) -> list[str]:
        """fairseq-generate's options at a beam; every sentence is translated."""
        words = ["--gen-subset", self.subset, "--beam", str(beam)]
        return [*words, "--required-batch-size-multiple", "1", *self.options]

    def words(self, checkpoint: Path, beam: int) -> list[str]:
        """fairseq-generate's arguments."""
        words = [str(self.data), "--user-dir", str(PLUGIN), "--path", str(checkpoint)]
        return [*words, *self.generation(beam)]
