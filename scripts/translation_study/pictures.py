"""Quality against beam: a line an arm, the mean of its seeds, and a band from the least to the
greatest of them."""

from collections import defaultdict
from statistics import fmean

from bench.output import write_whole
from matplotlib.figure import Figure

from translation_study.arms import ARMS
from translation_study.table import Score, Table


def draw(table: Table) -> None:
    """Write bleu-PAIR-SET.png for each pair and set that have scores."""
    found: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in table.scores():
        found[score.pair, score.set].append(score)
    for (pair, of_set), scores in found.items():
        figure = figure_of(scores, f"{pair}, {of_set}")
        path = table.folder / f"bleu-{pair}-{of_set}.png"
        write_whole(path, lambda to, drawn=figure: drawn.savefig(to, dpi=120, format="png"))


def figure_of(scores: list[Score], title: str) -> Figure:
    """The lines of a pair and a set."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(x for x in ARMS if any(y.arm == x for y in scores)):
        by_beam: dict[int, list[float]] = defaultdict(list)
        for score in scores:
            if score.arm == name:
                by_beam[score.beam].append(score.bleu)
        beams = sorted(by_beam)
        values = [by_beam[beam] for beam in beams]
        style = "-" if number < 10 else "--"  # matplotlib has ten colours
        axes.plot(
            beams,
            [fmean(x) for x in values],
            f"o{style}",
            color=f"C{number}",
            label=ARMS[name].what,
        )
        axes.fill_between(
            beams,
            [min(x) for x in values],
            [max(x) for x in values],
            color=f"C{number}",
            alpha=0.15,
        )
    axes.set(title=title, xlabel="beam", ylabel="sacreBLEU")
    axes.legend(fontsize="small")
    return figure
