"""The table of runs, which grows a line at a time, and what it comes to for each cell."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from study.cells import CELLS, Cell
from study.cost import cost
from study.rows import append, read, refuse_mixing, write_summary
from study.runs import Curve, Run, digest

CURVES_OF = 1  # the seed whose curves are kept


class Table:
    """The results on disk.

    Args:
        folder: of runs.tsv, curves.tsv, summary.tsv and summary.json; made if it is not there.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def runs(self) -> list[Run]:
        """All that are done, in the order of the cells and seeds."""
        order = list(CELLS)
        rows = read(self.folder / "runs.tsv")
        # Of several with one seed the last, which had more updates.
        found = {(row["cell"], row["seed"]): as_run(row) for row in rows if row["cell"] in order}
        return sorted(found.values(), key=lambda run: (order.index(run.cell), run.seed))

    def curves(self, cell: str) -> dict[int, list[tuple[int, float]]]:
        """Updates and percent of tokens right in validation, by step, of one training."""
        found: dict[int, dict[int, float]] = {}
        for point in read(self.folder / "curves.tsv"):
            if point["cell"] == cell:
                curve = found.setdefault(int(point["step"]), {})
                curve[int(point["update"])] = float(point["accuracy"])
        return {step: sorted(curve.items()) for step, curve in found.items()}

    def check(self, cells: Mapping[str, Cell]) -> None:
        """Refuse to mix runs of different options in one cell.

        Raises:
            ValueError: the table has runs of a cell that were told something else.
        """
        for run in self.runs():
            if run.cell in cells and run.options != digest(cells[run.cell]):
                refuse_mixing(self.folder, "runs.tsv", run.cell)

    def add(self, run: Run, curve: Curve) -> None:
        """Keep a run, and the curves of the first seed."""
        if run.seed == CURVES_OF:
            names = ["cell", "update", "step", "accuracy"]
            append(self.folder / "curves.tsv", names, [[run.cell, *point] for point in curve])
        values = asdict(run) | {"accuracy": " ".join(map(str, run.accuracy))}
        row = ["" if value is None else value for value in values.values()]
        append(self.folder / "runs.tsv", list(values), [row])

    def write_summary(self) -> None:
        """A line a cell, as TSV and as JSON."""
        write_summary(self.folder, self.summary())

    def summary(self) -> list[dict[str, Any]]:
        """What the runs of each cell come to."""
        runs = self.runs()
        by_cell = {name: [run for run in runs if run.cell == name] for name in CELLS}
        return [summary_row(name, found) for name, found in by_cell.items() if found]


def summary_row(name: str, runs: list[Run]) -> dict[str, Any]:
    """What the runs of a cell come to.

    Returns:
        ``seeds``, how many ``solved``, the median of the ``updates`` to solve over those that did,
        the same in ``stock_updates`` of equal cost by count, the most updates that one had
        (``most``), and the range of the test's whole paths in percent.
    """
    solved = [run.solved for run in runs if run.solved is not None]
    updates = round(median(solved)) if solved else None
    most = max(run.updates for run in runs)
    ratio = cost(CELLS[name], updates or most)
    paths = sorted(run.paths for run in runs)
    return {
        "cell": name,
        "what": CELLS[name].what,
        "seeds": len(runs),
        "solved": len(solved),
        "updates": updates,
        "cost": ratio and round(ratio, 2),
        "stock_updates": updates and ratio and round(updates * ratio),
        "most": most,
        "paths": f"{paths[0]:g}-{paths[-1]:g}",
    }


def as_run(row: dict[str, str]) -> Run:
    """From text."""
    return Run(
        cell=row["cell"],
        seed=int(row["seed"]),
        solved=int(row["solved"]) if row["solved"] else None,
        updates=int(row["updates"]),
        paths=float(row["paths"]),
        accuracy=[float(x) for x in row["accuracy"].split()],
        options=row["options"],
        device=row["device"],
    )
