"""Times of systems that take turns in one process."""

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy

PERCENTILES = {"p20": 20, "median": 50, "p80": 80}


def alternate(runs: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run in each round, after a first round that does not count.

    The order turns round from one round to the next, so that no system always follows the same.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in reversed(runs) if number % 2 else runs:
            start = perf_counter()
            runs[name]()
            if number > 0:
                seconds[name].append(perf_counter() - start)
    return seconds


def ratios(seconds: list[float], baseline: list[float]) -> list[float]:
    """Time over the baseline's, pair by pair of the same round."""
    return [ours / theirs for ours, theirs in zip(seconds, baseline, strict=True)]


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, 20th and 80th percentile."""
    return {name: float(numpy.percentile(values, x)) for name, x in PERCENTILES.items()}
