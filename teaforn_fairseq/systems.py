"""``--system LABEL CHECKPOINT [CHECKPOINT ...]``: what is compared, a label its seeds."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from teaforn_fairseq.files import kind

FLAG = "--system"
LABEL = re.compile(r"\w[\w .,=+-]*")


@dataclass(frozen=True)
class System:
    """Trainings that differ in their seed alone.

    Attributes:
        label: what tables and pictures call it.
        checkpoints: one a seed; those at the same place of two systems belong together.
    """

    label: str
    checkpoints: tuple[Path, ...]


def add_systems(parser: argparse.ArgumentParser) -> None:
    """Declare ``--system``; :func:`read_systems` takes what it collects."""
    parser.add_argument(
        FLAG,
        dest="systems",
        action="append",
        nargs="+",
        required=True,
        metavar=("LABEL", "CHECKPOINT"),
        help="a label and its checkpoints, one a seed, in the same order in each system; the first"
        " system is the one to compare with",
    )


def read_systems(given: Sequence[Sequence[str]]) -> list[System]:
    """The systems of a command line, in its order.

    Args:
        given: a label and its checkpoints each.

    Raises:
        ValueError: a label that is none or is given twice, unequal numbers of seeds, none, or a
            checkpoint that is no file or given twice; the message names flag, rule and value.
    """
    systems = [System(label, tuple(map(Path, paths))) for label, *paths in given]
    labels = [system.label for system in systems]
    for label in labels:
        if not LABEL.fullmatch(label) or label.endswith((" ", ".")):
            raise ValueError(
                f"{FLAG}: a label must begin with a letter or a digit and have letters, digits,"
                f" spaces and . , = + - _ alone, as a folder may be called so; received {label!r}."
            )
        if labels.count(label) > 1:
            raise ValueError(
                f"{FLAG}: must name each label once, with all its checkpoints; received {label}"
                f" {labels.count(label)} times."
            )
    for system in systems:
        _require_checkpoints(system)
    counts = {system.label: len(system.checkpoints) for system in systems}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise ValueError(f"{FLAG}: must all have as many seeds; received {told}.")
    return systems


def _require_checkpoints(system: System) -> None:
    """Stop unless a system has checkpoints, which are different files."""
    flag, paths = f"{FLAG} {system.label}", system.checkpoints
    if not paths:
        raise ValueError(f"{flag}: must have a checkpoint; received none.")
    for path in paths:
        found = kind(path) or "nothing there"
        if found != "a file":
            raise ValueError(
                f"{flag}: {path}: must be a checkpoint's file; received {found}. Correct the path."
            )
        if ":" in str(path):
            raise ValueError(
                f"{flag}: must be a path without a colon; received {path}, which fairseq reads as"
                " several. Rename it."
            )
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(
            f"{flag}: must have another checkpoint for each seed; received"
            f" {' '.join(map(str, paths))}, of which two are the same."
        )
