"""One picture: steps, road, calibration and repetition, a colour a system."""

from collections.abc import Sequence
from typing import Any

from teaforn_fairseq.exposure.comparing import Cell, by_label, summarize
from teaforn_fairseq.exposure.measuring import Figures
from teaforn_fairseq.exposure.ngrams import ORDERS
from teaforn_fairseq.exposure.road import GROUPS
from teaforn_fairseq.exposure.words import BINS


def draw(cells: Sequence[Cell], num_steps: int, references: Figures) -> Any:
    """A matplotlib figure; lines are means over seeds, bands one standard deviation around them.

    Args:
        cells: one at least has figures.
        num_steps: N.
        references: figures of the gold texts.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    (steps, road), (bins, texts) = figure.subplots(2, 2)
    numbers = [str(x + 1) for x in range(num_steps)]
    _lines(steps, cells, {"accuracy": "-", "ahead": "--"}, numbers)
    steps.set(title="unroll: right (-), all steps so far right (--)", xlabel="step", ylabel="%")
    _lines(road, cells, {"gold_prefix": "-", "own_prefix": "--", "on_road": ":"}, GROUPS)
    road.set(title="behind gold (-), greedy (--), still on the road (:)", xlabel="position")
    road.tick_params(axis="x", labelrotation=45)
    bins.plot([0, 100], [0, 100], color="grey", linewidth=0.8)
    for number, label in enumerate(by_label(cells)):
        pairs = [
            [summarize(cells, (name, at)).get(label) for name in ("bin_confidence", "bin_accuracy")]
            for at in map(str, range(1, BINS + 1))
        ]
        points = [[x.mean for x in pair if x] for pair in pairs if all(pair)]
        if points:
            bins.plot(*zip(*points, strict=True), marker="o", color=f"C{number}", label=label)
    bins.set(title="calibration", xlabel="probability of the predicted token, %", ylabel="right, %")
    orders = [str(n) for n in ORDERS]
    _lines(texts, cells, {"repeated": "-", "distinct": "--"}, orders)
    for name, style in {"repeated": "-", "distinct": "--"}.items():
        there = [(n, references[name, n]) for n in orders if (name, n) in references]
        if there:
            texts.plot(*zip(*there, strict=True), style, color="black", label="references")
    texts.set(title="n-grams: repeated in a text (-), distinct (--)", xlabel="n", ylabel="%")
    for axes in (steps, road, bins, texts):
        _legend(axes)
    return figure


def _lines(axes: Any, cells: Sequence[Cell], styles: dict[str, str], at: Sequence[str]) -> None:
    """A line for each system and figure over the places ``at`` that some cell has."""
    found = {(name, x): summarize(cells, (name, x)) for name in styles for x in at}
    places = [x for x in at if any(found[name, x] for name in styles)]
    for number, label in enumerate(by_label(cells)):
        for name, style in styles.items():
            there = [
                (p, found[name, x][label]) for p, x in enumerate(places) if label in found[name, x]
            ]
            if not there:
                continue
            xs, values = [p for p, _ in there], [x for _, x in there]
            means, sds = [x.mean for x in values], [x.sd or 0 for x in values]
            axes.plot(xs, means, style, color=f"C{number}", label=label)
            low, high = (
                [m + sign * s for m, s in zip(means, sds, strict=True)] for sign in (-1, 1)
            )
            axes.fill_between(xs, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
    axes.set_xticks(range(len(places)), places)


def _legend(axes: Any) -> None:
    """Each label once."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        once = dict(zip(reversed(labels), reversed(handles), strict=True))
        axes.legend(list(reversed(once.values())), list(reversed(once)))
