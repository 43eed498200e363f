"""Pictures of the study: how each step learns in its turn, and how many trainings have solved."""

from pathlib import Path

from bench.output import write_whole
from matplotlib.figure import Figure

from study.cells import CELLS
from study.table import Table

STAIRS = ("n1", "n3-last")
RACES = {
    "steps": ("n1", "n2", "n3", "n4", "n5"),
    "ways": ("n3", "n3-half", "n3-last", "topk", "gumbel", "argmax", "detach", "shifted"),
}


def draw(table: Table) -> None:
    """Write all pictures whose cells have been run."""
    runs = table.runs()
    there = {run.cell for run in runs}
    if all(table.curves(cell) for cell in STAIRS):
        save(table.folder / "staircase.png", stairs(table))
    for name, cells in RACES.items():
        if there.issuperset(cells):
            save(table.folder / f"{name}.png", race(table, cells))


def stairs(table: Table) -> Figure:
    """Accuracy of each step against updates, a panel a system."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(STAIRS), sharex=True, sharey=True)
    for axes, cell in zip(panels, STAIRS, strict=True):
        for step, curve in table.curves(cell).items():
            axes.plot(*zip(*curve, strict=True), color=f"C{step - 1}", label=f"step {step}")
        axes.set(title=CELLS[cell].what, xlabel="updates", ylim=(40, 101))
        axes.legend(loc="lower right")
    panels[0].set_ylabel("tokens right in validation, %")
    return figure


def race(table: Table, cells: tuple[str, ...]) -> Figure:
    """Share of the seeds that have solved against updates, a line a cell."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for cell in cells:
        runs = [run for run in table.runs() if run.cell == cell]
        at = sorted(run.solved for run in runs if run.solved is not None)
        share = [100 * number / len(runs) for number in range(len(at) + 1)]
        end = max(run.updates for run in runs)
        axes.step([0, *at, end], [*share, share[-1]], where="post", label=CELLS[cell].what)
    axes.set(xlabel="updates", ylabel="seeds that have solved the task, %", ylim=(-2, 102))
    axes.legend()
    return figure


def save(path: Path, figure: Figure) -> None:
    """As PNG, whole or not at all."""
    write_whole(path, lambda partial: figure.savefig(partial, dpi=120, format="png"))
