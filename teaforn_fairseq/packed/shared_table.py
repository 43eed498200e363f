"""Rows of a big table beside its other uses, with one gradient for all of them.

Autograd would make a (V, C) gradient for every use of an embedding table, zero-filled, and add
them up: for V = 32768 and C = 512 that is 64 MB each, most of it zeros.
V vocabulary, C features.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Projection = tuple[Tensor, Tensor | None]  # W (V, C_out), b (V,) or None


def look_up(table: Tensor, tokens: Tensor, padding_idx: int | None = None) -> tuple[Tensor, Tensor]:
    """Rows of the table, and the table for every further use.

    Args:
        table: (V, C).
        tokens: (n,) ids.
        padding_idx: id whose look-ups give no gradient, as in ``nn.Embedding``.

    Returns:
        The table (V, C), whose gradient takes that of the rows in; ``table[tokens]`` (n, C).
    """
    return _LookUp.apply(table, tokens, padding_idx)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, table: Tensor, tokens: Tensor, padding_idx: int | None
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(tokens)
        ctx.padding_idx = padding_idx
        return table.view_as(table), F.embedding(tokens, table)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, row_grads: Tensor) -> tuple[Tensor, None, None]:
        (tokens,) = ctx.saved_tensors
        if ctx.padding_idx is not None:
            row_grads = row_grads.masked_fill(tokens.eq(ctx.padding_idx).unsqueeze(1), 0)
        # In place: autograd has summed what comes from the further uses up for this node alone.
        # index_put_ rather than index_add_, whose order of summation is random on a GPU.
        return grad.index_put_((tokens,), row_grads, accumulate=True), None, None
