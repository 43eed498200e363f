"""Output projection and cross-entropy of all steps in one.

It works through the tokens in chunks and makes the gradients of a chunk while its logits are
there, so that no step's logits are kept and none are made twice. The gradients are summed in
float32 at least, and what comes from behind the loss, a loss scale for one, multiplies the sums:
nothing is rounded to half precision before it is scaled.
n_i tokens of step i, C features, V vocabulary, N unroll steps.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from teaforn_fairseq.loss.chunks import Chunks
from teaforn_fairseq.packed.shared_table import Projection

IMPLEMENTATIONS = ("auto", "fused", "plain")


def fused_loss(
    features: Sequence[Tensor],
    labels: Sequence[Tensor],
    weights: Sequence[float],
    projection: Projection,
    padding_idx: int,
    label_smoothing: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted loss of all steps, summed over real tokens, in nats.

    Args:
        features: N tensors (n_i, C).
        labels: N tensors (n_i,).
        weights: N weights.
        projection: W (V, C) and b (V,) or None.
        padding_idx: label that does not count.
        label_smoothing: fairseq's eps, 0 to 1.

    Returns:
        The weighted sum (), smoothed; each step's unsmoothed sum (N,), detached; and what each
        step adds to the weighted sum (N,), detached. All are at least float32.
    """
    table, bias = projection
    kind, dtype = table.device.type, table.dtype
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    # An autograd function does not see that gradients are off.
    settings = (dtype, padding_idx, label_smoothing, torch.is_grad_enabled())
    with torch.autocast(kind, enabled=False):
        return _FusedLoss.apply(table, bias, labels, weights, settings, *features)


class _FusedLoss(torch.autograd.Function):
    """The result of :func:`fused_loss`; the first alone has a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        bias: Tensor | None,
        labels: Sequence[Tensor],
        weights: Sequence[float],
        settings: tuple[torch.dtype, int, float, bool],
        *features: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype, padding_idx, eps, differentiable = settings
        learns = differentiable and any(ctx.needs_input_grad)
        cast = table.to(dtype), None if bias is None else bias.to(dtype)
        chunks = Chunks(cast, padding_idx, eps, learns)
        results = [
            chunks.add(h.to(dtype), y, weight)
            for h, y, weight in zip(features, labels, weights, strict=True)
        ]
        losses, nlls, grads = zip(*results, strict=True)
        if learns:
            ctx.save_for_backward(chunks.table_grad, chunks.bias_grad, *grads)
            ctx.dtypes = [None if x is None else x.dtype for x in (table, bias, *features)]
        parts = torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)])
        nll = torch.stack(nlls)
        ctx.mark_non_differentiable(nll, parts)
        return parts.sum(), nll, parts

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        # In place, as these were made for this moment; a second backward pass is an error.
        table, bias, *features = (
            None if x is None else x.mul_(grad).to(dtype)
            for x, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return table, bias, None, None, None, *features
