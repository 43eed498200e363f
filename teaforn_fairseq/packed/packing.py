"""Real tokens alone, one after another, and the way back to one row a sentence.

What works token by token (embedding, projections but that of attention's output, feed-forward
layers, norms, the loss) runs on the n real tokens of a batch; padding costs nothing there.
Attention needs rows: they are aligned left, so that a causal mask hides all padding behind them,
whichever side was padded.

    batch      w1 w2 w3      packed   w1 w2 w3 v1 v2      rows   w1 w2 w3
               -  v1 v2                                          v1 v2 0

B batch, T length, n real tokens.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def target_slots(tokens: Tensor, target: Tensor, padding_idx: int) -> Tensor:
    """Where a target's slots are: from the first to the last that has an input or a label.

    A padding symbol inside a sentence (method.md) leaves a slot without the one and its neighbour
    without the other; both are slots of the sentence all the same.

    Args:
        tokens: (B, T) decoder input.
        target: (B, T) labels.
        padding_idx: the id that is no token.

    Returns:
        (B, T) bool, one unbroken run of true a row.
    """
    real = tokens.ne(padding_idx) | target.ne(padding_idx)
    begun, ends = real.cummax(1).values, real.flip(1).cummax(1).values.flip(1)
    return begun & ends


@dataclass(frozen=True)
class Packing:
    """Where the real tokens of a batch stand.

    Attributes:
        shape: (B, T) of the batch.
        index: (n,) their places in the flattened batch, ascending.
        places: (n,) their places once each row is aligned left.
        length: of these rows, T or less.
    """

    shape: tuple[int, int]
    index: Tensor
    places: Tensor
    length: int

    @classmethod
    def of(
        cls, real: Tensor, num_tokens: int | None = None, length: int | None = None
    ) -> "Packing":
        """Find the real tokens.

        Args:
            real: (B, T) bool, true at a real token.
            num_tokens: n, where it is known: a GPU then need not be waited for. More than there
                are takes padding in as well.
            length: of the rows, where none has T real tokens.
        """
        length = length or real.size(1)
        num_tokens = int(real.sum()) if num_tokens is None else min(num_tokens, real.numel())
        # A stable sort brings the real ones to the front; nonzero() would wait for their number.
        order = real.flatten().logical_not().to(torch.uint8).argsort(stable=True)
        index = order[:num_tokens].sort().values
        row = index.div(real.size(1), rounding_mode="floor")
        begins = torch.searchsorted(row, torch.arange(real.size(0), device=row.device))
        places = row * length + torch.arange(num_tokens, device=row.device) - begins[row]
        return cls((real.size(0), real.size(1)), index, places, length)

    @property
    def full(self) -> bool:
        """Whether there is no padding in the batch."""
        return self.index.numel() == self.shape[0] * self.shape[1]

    @property
    def even(self) -> bool:
        """Whether there is none in the rows."""
        return self.index.numel() == self.shape[0] * self.length

    @property
    def begins(self) -> Tensor:
        """(n,) bool, true for the first real token of each row."""
        return self.places.remainder(self.length).eq(0)

    def pack(self, values: Tensor) -> Tensor:
        """Values of the batch (B, T, ...) to those of its real tokens (n, ...)."""
        flat = values.flatten(0, 1)
        return flat if self.full else flat.index_select(0, self.index)

    def rows(self, packed: Tensor) -> Tensor:
        """Values of the real tokens (n, ...) to rows (B, T, ...) aligned left, zero behind.

        T is ``length``.
        """
        return self._place(packed, self.places, self.even, self.length)

    def unrows(self, rows: Tensor) -> Tensor:
        """The way back: rows (B, T, ...) that are aligned left to (n, ...)."""
        flat = rows.flatten(0, 1)
        return flat if self.even else flat.index_select(0, self.places)

    def unpack(self, packed: Tensor) -> Tensor:
        """Values of the real tokens (n, ...) to the batch (B, T, ...), zero at padding."""
        return self._place(packed, self.index, self.full, self.shape[1])

    def ahead(self, packed: Tensor, slots: int, fill: float = 0) -> Tensor:
        """Give each token the value (n, ...) of the one some slots behind it in its row.

        The row's last tokens, behind which there is none, get ``fill``.
        """
        if slots == 0:
            return packed
        row = self.places.div(self.length, rounding_mode="floor")
        moved = min(slots, len(row))
        same_row = F.pad(row[moved:], [0, moved], value=-1).eq(row)
        values = F.pad(packed[moved:], [0, 0] * (packed.dim() - 1) + [0, moved], value=fill)
        beyond = same_row.logical_not().view(-1, *[1] * (packed.dim() - 1))
        return values.masked_fill(beyond, fill)

    def _place(self, packed: Tensor, places: Tensor, as_they_are: bool, length: int) -> Tensor:
        size = self.shape[0] * length
        placed = packed if as_they_are else _Place.apply(packed, places, size)
        return placed.unflatten(0, (self.shape[0], length))


class _Place(torch.autograd.Function):
    """Rows put into zeros; PyTorch's index_copy would keep the rows for the backward pass."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(places)
        return packed.new_zeros(size, *packed.shape[1:]).index_copy_(0, places, packed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return grad.index_select(0, places), None, None
