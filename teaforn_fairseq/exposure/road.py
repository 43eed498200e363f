"""Greedy decoding beside gold prefixes: how fast a model leaves the road.

Positions are counted in target tokens from 1; those of a given prompt are none.
B batch, T target length.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

LAST = (1, 2, 3, 4, 5, 10, 20, 50, 100)  # of each group of positions; one more has the rest
GROUPS = [
    *(str(b) if a + 1 == b else f"{a + 1}-{b}" for a, b in zip((0, *LAST), LAST, strict=False)),
    f"{LAST[-1] + 1}+",
]
ALL = "all"


@dataclass(frozen=True)
class Batch:
    """Predictions of a batch, its rows aligned left.

    Attributes:
        labels: (B, T) the gold tokens.
        counts: (B, T) bool, true where one counts: no padding, no prompt.
        behind_gold: (B, T) the likeliest words behind the gold prefix.
        behind_own: (B, T) a greedy hypothesis, padding behind its end; None where there is none.
    """

    labels: Tensor
    counts: Tensor
    behind_gold: Tensor
    behind_own: Tensor | None


class Road:
    """Sums by groups of positions, on the device.

    Args:
        device: where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self.last = torch.tensor(LAST, device=device)
        self.sums = torch.zeros(len(GROUPS), 4, dtype=torch.double, device=device)
        self.runs_free = False

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        counts = batch.counts
        gold = batch.behind_gold.eq(batch.labels)
        own = on_road = torch.zeros_like(gold)
        if batch.behind_own is not None:
            self.runs_free = True
            own = batch.behind_own.eq(batch.labels)
            on_road = (own | ~counts).cumprod(1).bool()
        group = torch.bucketize(counts.cumsum(1), self.last)
        values = torch.stack([counts, gold, own, on_road], dim=-1) & counts.unsqueeze(-1)
        self.sums.index_add_(0, group.flatten(), values.flatten(0, 1).double())

    def figures(self) -> Iterable[tuple[tuple[str, str], float]]:
        """``gold_prefix``, ``own_prefix`` and ``on_road`` of each group that has tokens and of all,
        in percent of its tokens.
        """
        sums = self.sums.cpu()
        rows = dict(zip([*GROUPS, ALL], [*sums.tolist(), sums.sum(0).tolist()], strict=True))
        for column, name in enumerate(("gold_prefix", "own_prefix", "on_road"), start=1):
            if column > 1 and not self.runs_free:
                return
            for at, row in rows.items():
                if row[0]:
                    yield (name, at), 100 * row[column] / row[0]
