"""Several data sets of one name are combined also where nothing is to be repeated.

``--combine-val``, and training data in ``train`` and ``train1``: fairseq repeats the first of them
``--upsample-primary`` times, by default -1 times, and fails on negative dimensions.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq.data import ConcatDataset


def at_least_once(init: Callable) -> Callable:
    """fairseq's joining of data sets, each of them once where a negative ratio asks for none."""

    @wraps(init)
    def join(dataset: ConcatDataset, datasets: Any, sample_ratios: Any = 1) -> None:
        if not isinstance(sample_ratios, int):
            sample_ratios = [ratio if ratio >= 0 else 1 for ratio in sample_ratios]
        init(dataset, datasets, sample_ratios)

    return join


def apply() -> None:
    """In the data set itself, which several tasks make."""
    ConcatDataset.__init__ = at_least_once(ConcatDataset.__init__)
