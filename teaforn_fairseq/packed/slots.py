"""Real tokens alone, one after another, and the way back to one row a sentence.

What works token by token (embedding, projections but that of attention's output, feed-forward
layers, norms, the loss) runs on the n real tokens of a batch; padding costs nothing there.
Attention needs rows: they are aligned left, so that a causal mask is all the mask that they need,
whichever side was padded.

    batch      w1 w2 w3      packed   w1 w2 w3 v1 v2      rows   w1 w2 w3
               -  v1 v2                                          v1 v2 0

B batch, T length, n real tokens.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slots:
    """Where the real tokens of a batch stand.

    Attributes:
        shape: (B, T) of the batch.
        index: (n,) their places in the flattened batch, ascending.
        places: (n,) their places once each row is aligned left.
    """

    shape: tuple[int, int]
    index: Tensor
    places: Tensor

    @classmethod
    def of(cls, tokens: Tensor, padding_idx: int, num_tokens: int | None = None) -> "Slots":
        """Find the real tokens.

        Args:
            tokens: (B, T) token ids.
            padding_idx: the id that is no token.
            num_tokens: n, where it is known: a GPU then need not be waited for. More than there
                are takes padding in as well.
        """
        real = tokens.ne(padding_idx)
        num_tokens = int(real.sum()) if num_tokens is None else min(num_tokens, real.numel())
        # A stable sort brings the real ones to the front; nonzero() would wait for their number.
        order = real.flatten().logical_not().to(torch.uint8).argsort(stable=True)
        index = order[:num_tokens].sort().values
        row = index.div(tokens.size(1), rounding_mode="floor")
        begins = torch.searchsorted(row, torch.arange(tokens.size(0), device=row.device))
        places = row * tokens.size(1) + torch.arange(num_tokens, device=row.device) - begins[row]
        return cls((tokens.size(0), tokens.size(1)), index, places)

    @property
    def full(self) -> bool:
        """Whether there is no padding."""
        return self.index.numel() == self.shape[0] * self.shape[1]

    @property
    def begins(self) -> Tensor:
        """(n,) bool, true for the first real token of each row."""
        return self.places.remainder(self.shape[1]).eq(0)

    def pack(self, values: Tensor) -> Tensor:
        """Values of the batch (B, T, ...) to those of its real tokens (n, ...)."""
        flat = values.flatten(0, 1)
        return flat if self.full else flat.index_select(0, self.index)

    def rows(self, packed: Tensor) -> Tensor:
        """Values of the real tokens (n, ...) to rows (B, T, ...) aligned left, zero behind."""
        return packed.unflatten(0, self.shape) if self.full else self._place(packed, self.places)

    def unrows(self, rows: Tensor) -> Tensor:
        """The way back: rows (B, T, ...) that are aligned left to (n, ...)."""
        flat = rows.flatten(0, 1)
        return flat if self.full else flat.index_select(0, self.places)

    def unpack(self, packed: Tensor) -> Tensor:
        """Values of the real tokens (n, ...) to the batch (B, T, ...), zero at padding."""
        return self._place(packed, self.index)

    def _place(self, packed: Tensor, places: Tensor) -> Tensor:
        return _Place.apply(packed, places, self.shape[0] * self.shape[1]).unflatten(0, self.shape)


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
