"""Quality against beam: a line a system, the mean of its seeds, and a band from the least to the
greatest of them. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.figure import Figure

Lines = Mapping[str, Mapping[int, Sequence[float]]]  # by what a line is called and by beam


def figure_of(panels: Mapping[str, Lines], title: str) -> Figure:
    """A panel a score.

    Args:
        panels: by what its axis is called the values of all seeds.
        title: above all.
    """
    figure = Figure(figsize=(2 + 6 * len(panels), 5), layout="constrained")
    figure.suptitle(title)
    for axes, (quality, lines) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for number, (label, by_beam) in enumerate(lines.items()):
            beams = sorted(by_beam)
            values = [by_beam[beam] for beam in beams]
            style = "-" if number < 10 else "--"  # matplotlib has ten colours
            color = f"C{number}"
            axes.plot(beams, [fmean(x) for x in values], f"o{style}", color=color, label=label)
            least, most = [min(x) for x in values], [max(x) for x in values]
            axes.fill_between(beams, least, most, color=color, alpha=0.15)
        axes.set(xlabel="beam", ylabel=quality)
        axes.set_xticks(sorted({beam for by_beam in lines.values() for beam in by_beam}))
        axes.legend(fontsize="small")
    return figure
