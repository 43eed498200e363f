"""The figures as TSV, a line a number, and as Markdown, a table a question."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from teaforn_fairseq.exposure.comparing import REFERENCES, Cell, Summary, by_label, keys, summarize
from teaforn_fairseq.exposure.measuring import Figures

HEADS = ("figure", "at", "label", "checkpoint", "value")


class Shown(NamedTuple):
    """How a figure is shown.

    Attributes:
        title: with ``{}`` for what it is at.
        digits: after the point.
    """

    title: str
    digits: int = 2


SECTIONS = {
    "What was measured": {
        "sentences": Shown("sentences", 0),
        "tokens": Shown("target tokens", 0),
    },
    "Steps of the unroll": {
        "accuracy": Shown("step {}: tokens right, %"),
        "ahead": Shown("steps 1 to {} all right, %"),
        "nll": Shown("step {}: bits a token", 3),
    },
    "Leaving the road": {
        "gold_prefix": Shown("position {}: right behind the gold prefix, %"),
        "own_prefix": Shown("position {}: right in greedy decoding, %"),
        "on_road": Shown("position {}: greedy decoding still on the gold road, %"),
    },
    "Hidden states and embeddings": {
        "cosine_predicted": Shown("cosine of h and E(predicted token)", 3),
        "cosine_gold": Shown("cosine of h and E(gold token)", 3),
        "norm_ratio": Shown("length of h to that of E(predicted token)", 3),
    },
    "The predicted distribution": {
        "entropy": Shown("entropy, bits", 3),
        "confidence": Shown("probability of the predicted token", 3),
        "calibration_error": Shown("expected calibration error, %"),
        "probability": Shown("probability of the gold token", 3),
        "reciprocal_rank": Shown("mean reciprocal rank of the gold token", 3),
        "median_rank": Shown("median rank of the gold token", 1),
    },
    "Repetition and stock phrases": {
        "repeated": Shown("{}-grams that the hypothesis had before, %"),
        "distinct": Shown("distinct {}-grams of all, %"),
        "words": Shown("words a hypothesis", 1),
    },
}


def tsv(cells: Sequence[Cell], references: Figures) -> Iterator[str]:
    """Lines under HEADS: every number that was measured."""
    yield "\t".join(HEADS)
    texts = Cell(REFERENCES, "", references)
    for cell in (*cells, texts):
        for (name, at), value in (cell.figures or {}).items():
            yield "\t".join([name, at, cell.label, cell.checkpoint, f"{value:.6g}"])


def markdown(cells: Sequence[Cell], references: Figures) -> Iterator[str]:
    """Lines of a page: a table a section."""
    there = keys(cells)
    for section, figures in SECTIONS.items():
        rows = [
            (figure.title.format(at), figure.digits, (name, at))
            for name, figure in figures.items()
            for at in (at for found, at in there if found == name)
        ]
        if rows:
            yield from ("", f"## {section}", "")
            yield from _table(cells, rows, references)
    failed = [f"- {cell.label}, {cell.checkpoint}: {cell.error}" for cell in cells if cell.error]
    if failed:
        yield from ("", "## Failed", "", *failed)


def _table(
    cells: Sequence[Cell],
    rows: Sequence[tuple[str, int, tuple[str, str]]],
    references: Figures,
) -> Iterator[str]:
    first, *others = by_label(cells)
    texts = any(key in references for _, _, key in rows)
    heads = [first, *others, *(f"{x} - {first}" for x in others), *["references"] * texts]
    yield _line("", *(head.replace("|", "\\|") for head in heads))
    yield _line("---", *["---:"] * len(heads))
    for title, digits, key in rows:
        found = summarize(cells, key)
        values = [_value(found.get(label), digits) for label in (first, *others)]
        differences = [_difference(found.get(label), digits) for label in others]
        reference = [_number(references.get(key), digits)] * texts
        yield _line(title, *values, *differences, *reference)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _value(summary: Summary | None, digits: int) -> str:
    if summary is None:
        return ""
    spread = "" if summary.sd is None else f" (sd {summary.sd:.{digits}f})"
    return f"{_number(summary.mean, digits)}{spread}"


def _difference(summary: Summary | None, digits: int) -> str:
    if summary is None or summary.difference is None:
        return ""
    text = f"{summary.difference:+.{digits}f}"
    if summary.low is None or summary.high is None:
        return text
    return f"{text} [{summary.low:+.{digits}f}, {summary.high:+.{digits}f}]"


def page(cells: Sequence[Cell], about: Iterable[str], references: Figures) -> str:
    """The whole Markdown page."""
    lines = ["# Exposure", "", *about, *markdown(cells, references)]
    return "\n".join(lines) + "\n"
