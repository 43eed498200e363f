"""Which target tokens are given at decoding too (method.md, "A prefix that is given").

Two given tokens in a row of four, where x stands for given:

    slots     e_0  e_1  e_2  e_3      labels    y_1  y_2  y_3  y_4
              x    x    x    -                  x    x    -    -

A given label carries no loss; a given slot keeps its gold embedding at every step.
B batch, T target length, n real target tokens (slots).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from teaforn_fairseq.packed.packing import Packing


@dataclass(frozen=True)
class Prefix:
    """What is given in each row of a batch.

    Attributes:
        size: K, 0 or more: the first K columns of the labels, as fairseq counts them.
        end: the word with which each row's own prefix ends; None where ``size`` counts.
    """

    size: int = 0
    end: int | None = None

    def labels(self, target: Tensor) -> Tensor | None:
        """(B, T) bool, true at the given ones of the labels (B, T); None where none is."""
        if self.end is not None:
            return up_to(target, self.end)
        if self.size == 0:
            return None
        return (torch.arange(target.size(1), device=target.device) < self.size).expand_as(target)

    def slots(self, target: Tensor, packing: Packing) -> Tensor:
        """(n,) bool, true at the given slots: the first of each row, and what a given label fills.

        Args:
            target: (B, T) labels y_1..y_T.
            packing: where the n slots stand.
        """
        labels = self.labels(target)
        if labels is None:
            return packing.begins
        # The token that slot t is to predict, slot t + 1 reads.
        return packing.begins | F.pad(packing.pack(labels), (1, -1))

    def counting(self, target: Tensor, padding_idx: int) -> Tensor:
        """(B, T) labels, padding at those that are left out of the token counts as well.

        fairseq counts the K labels that ``--ignore-prefix-size`` leaves out of the loss; a prompt
        is most of its row, and is not counted.
        """
        labels = None if self.end is None else self.labels(target)
        return target if labels is None else target.masked_fill(labels, padding_idx)


def up_to(target: Tensor, symbol: int) -> Tensor:
    """(B, T) bool, true at the labels (B, T) up to and with the first that is the symbol."""
    ends = target.eq(symbol).int()
    return (ends.cumsum(1) - ends).eq(0)
