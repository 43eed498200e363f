"""Figures of all systems side by side: means over seeds, and differences to the first system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from teaforn_fairseq.beams.statistics import t_interval
from teaforn_fairseq.exposure.measuring import Figures

REFERENCES = "(references)"


@dataclass(frozen=True)
class Cell:
    """One checkpoint.

    Attributes:
        label: of its system.
        checkpoint: the file.
        figures: what was measured, None where it failed.
        error: why it failed.
    """

    label: str
    checkpoint: str
    figures: Figures | None
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """A figure of a system.

    Attributes:
        mean: over its seeds.
        sd: their standard deviation, with n - 1; None of a single one.
        difference: mean of the seeds' differences to the first system's, seed by seed; None of the
            first system itself, or without a pair.
        low: lower end of the 95 % t interval of the difference; None without two pairs.
        high: its upper end.
    """

    mean: float
    sd: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def by_label(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells of each system, seed by seed."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.label, []).append(cell)
    return found


def summarize(cells: Sequence[Cell], key: tuple[str, str]) -> dict[str, Summary]:
    """One figure of all systems that have it."""
    values = {
        label: [None if cell.figures is None else cell.figures.get(key) for cell in of_label]
        for label, of_label in by_label(cells).items()
    }
    base = next(iter(values.values()))
    return {
        label: _summary(seeds, None if seeds is base else base)
        for label, seeds in values.items()
        if any(value is not None for value in seeds)
    }


def _summary(seeds: Sequence[float | None], base: Sequence[float | None] | None) -> Summary:
    there = [value for value in seeds if value is not None]
    mean, sd = fmean(there), stdev(there) if len(there) > 1 else None
    pairs = zip(seeds, base or [], strict=bool(base))
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    if not differences:
        return Summary(mean, sd)
    interval = t_interval(differences)
    return Summary(mean, sd, interval.mean, interval.low, interval.high)


def keys(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """All figures that some cell has, in order."""
    found: dict[tuple[str, str], Any] = {}
    for cell in cells:
        found |= dict.fromkeys(cell.figures or ())
    return list(found)


def as_json(cells: Sequence[Cell], about: Mapping[str, Any], references: Figures) -> dict[str, Any]:
    """All in plain containers: ``cells`` with their figures, and each figure's ``summary``."""
    return {
        **about,
        "cells": [
            {
                "label": cell.label,
                "checkpoint": cell.checkpoint,
                "error": cell.error,
                "figures": [
                    {"figure": name, "at": at, "value": value}
                    for (name, at), value in (cell.figures or {}).items()
                ],
            }
            for cell in cells
        ],
        "references": [
            {"figure": name, "at": at, "value": value} for (name, at), value in references.items()
        ],
        "summary": [
            {"figure": name, "at": at, "label": label, **vars(summary)}
            for name, at in keys(cells)
            for label, summary in summarize(cells, (name, at)).items()
        ],
    }
