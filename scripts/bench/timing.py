"""Times of systems that take turns in one process."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy

PERCENTILES = {"p20": 20, "median": 50, "p80": 80}


def by_clock(run: Callable[[], Any]) -> float:
    """Seconds that a run takes the host."""
    start = perf_counter()
    run()
    return perf_counter() - start


def alternate(
    runs: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    timer: Callable[[Callable[[], Any]], Any] = by_clock,
    warm_ups: int = 1,
) -> dict[str, list[Any]]:
    """What the timer says of each run in each round, after first rounds that do not count.

    The order turns round from one round to the next, so that no system always follows the same.
    """
    told: dict[str, list[Any]] = {name: [] for name in runs}
    for number in range(warm_ups + rounds):
        for name in reversed(runs) if number % 2 else runs:
            one = timer(runs[name])
            if number >= warm_ups:
                told[name].append(one)
    return told


def ratios(seconds: list[float], baseline: list[float]) -> list[float]:
    """Time over the baseline's, pair by pair of the same round."""
    return [ours / theirs for ours, theirs in zip(seconds, baseline, strict=True)]


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, 20th and 80th percentile."""
    return {name: float(numpy.percentile(values, x)) for name, x in PERCENTILES.items()}
