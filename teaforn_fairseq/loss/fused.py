"""Output projection and cross-entropy of all steps in one, by PyTorch's ``linear_cross_entropy``.

It works through the tokens in chunks and makes the gradients of a chunk while its logits are
there, so that no step's logits are kept. It knows no label smoothing there; fairseq's follows
from the unsmoothed loss (method.md, "Two identities that save work"): with m the mean row of W
and eps' = eps V / (V - 1),

    loss = nll + eps' sum_t (h_t . (W[y_t] - m) + b[y_t] - mean(b))

n_i tokens of step i, C features, V vocabulary, N unroll steps.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from teaforn_fairseq.packed.shared_table import Projection, look_up

HALF = (torch.float16, torch.bfloat16)


IMPLEMENTATIONS = ("auto", "fused", "plain")


def chosen(implementation: str) -> bool:
    """Whether ``--teaforn-loss-impl`` means this loss rather than the plain one.

    Args:
        implementation: one of IMPLEMENTATIONS; ``auto`` is fused where PyTorch has what it takes.

    Raises:
        ValueError: ``fused`` on a PyTorch older than 2.13.
    """
    available = hasattr(torch.nn, "LinearCrossEntropyOptions")
    if implementation == "fused" and not available:
        raise ValueError(
            "--teaforn-loss-impl: fused needs torch.nn.functional.linear_cross_entropy, which torch"
            f" has from 2.13 on; received fused with torch {torch.__version__}. Choose auto or"
            " plain, or upgrade torch."
        )
    return available and implementation != "plain"


def rows_at_once(vocabulary_size: int) -> int:
    """Tokens whose logits are there at a time: 64 MB of float32, but enough of them for matrix
    products at full speed."""
    return max(256, 2**24 // vocabulary_size)


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
    smoothing = [0.0] * len(weights)
    if label_smoothing > 0:
        table, rows, mean = look_up(table, torch.cat(tuple(labels)))
        terms = _label_terms(features, labels, (rows, mean, bias), padding_idx)
        eps = label_smoothing * len(table) / (len(table) - 1)
        smoothing = [eps * w * term for w, term in zip(weights, terms, strict=True)]
    kind = table.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        features = [x.to(dtype) for x in features]
        table, bias = table.to(dtype), None if bias is None else bias.to(dtype)
    with torch.autocast(kind, enabled=False):
        if table.dtype in HALF:
            loss, nll = _nll_in_half(features, labels, weights, (table, bias), padding_idx)
        else:
            loss, nll = _NLL.apply(table, bias, labels, weights, padding_idx, *features)
    per_step = zip(weights, nll, smoothing, strict=True)
    parts = torch.stack([(w * x + smoothed).detach() for w, x, smoothed in per_step])
    return loss + sum(smoothing), nll.detach(), parts


def _label_terms(
    features: Sequence[Tensor],
    labels: Sequence[Tensor],
    projection: tuple[Tensor, Tensor, Tensor | None],
    padding_idx: int,
) -> list[Tensor]:
    """sum_t (h_t . (W[y_t] - m) + b[y_t] - mean(b)) of each step, () each."""
    rows, mean, bias = projection
    terms = []
    for h, y, row in zip(features, labels, rows.split([len(y) for y in labels]), strict=True):
        contrast = (row - mean).masked_fill(y.eq(padding_idx).unsqueeze(1), 0)
        term = (h * contrast).sum()
        if bias is not None:
            term = term + (bias[y] - bias.mean()).masked_fill(y.eq(padding_idx), 0).sum()
        terms.append(term)
    return terms


def _nll_in_half(
    features: Sequence[Tensor],
    labels: Sequence[Tensor],
    weights: Sequence[float],
    projection: Projection,
    padding_idx: int,
) -> tuple[Tensor, Tensor]:
    # The reduced form would sum in bfloat16, and make float16's gradients before loss scaling.
    tokens = _linear_cross_entropy(
        torch.cat(tuple(features)), torch.cat(tuple(labels)), projection, padding_idx, "none"
    )
    sums = [x.sum() for x in tokens.float().split([len(y) for y in labels])]
    total = cast(Tensor, sum(w * x for w, x in zip(weights, sums, strict=True)))
    return total, torch.stack(sums)


class _NLL(torch.autograd.Function):
    """Weighted sum () of the steps' unsmoothed losses, and each of them (N,)."""

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        bias: Tensor | None,
        labels: Sequence[Tensor],
        weights: Sequence[float],
        padding_idx: int,
        *features: Tensor,
    ) -> tuple[Tensor, Tensor]:
        nll, grads, total = [], [], None
        for h, y, weight in zip(features, labels, weights, strict=True):
            learns = weight > 0 and any(ctx.needs_input_grad)
            given = (h, table) if bias is None else (h, table, bias)
            wanted = [x.detach().requires_grad_(learns) for x in given]
            projection = (wanted[1], None if bias is None else wanted[2])
            with torch.enable_grad():
                one = _linear_cross_entropy(wanted[0], y, projection, padding_idx, "sum")
            _without_zeros(one)
            nll.append(one.detach())
            if not learns:
                grads.append(torch.zeros_like(h) if any(ctx.needs_input_grad) else None)
                continue
            grad, *own = torch.autograd.grad(one, wanted, torch.full_like(one, weight))
            grads.append(grad)
            # One sum for all steps rather than a (V, C) gradient kept for each.
            total = own if total is None else [a.add_(b) for a, b in zip(total, own, strict=True)]
            del own  # not to live beside the next step's
        ctx.has_bias = bias is not None
        ctx.save_for_backward(*(total or []), *grads)
        # No tensor of the weights: a GPU is waited for when one comes from the CPU.
        loss = torch.stack([w * x for w, x in zip(weights, nll, strict=True)]).sum()
        nll = torch.stack(nll)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # In place, as these were made for this moment; a second backward pass is an error.
        table, *rest = (x.mul_(grad) for x in ctx.saved_tensors)
        bias = rest.pop(0) if ctx.has_bias else None
        return table, bias, None, None, None, *rest


def _without_zeros(loss: Tensor) -> None:
    """Spare the backward pass of ``linear_cross_entropy`` a (V, C) block of zeros.

    Autograd fills them in for its further results, the gradients, which nobody differentiates.
    """
    if isinstance(loss.grad_fn, FunctionCtx):
        loss.grad_fn.set_materialize_grads(False)


def _linear_cross_entropy(
    features: Tensor,
    labels: Tensor,
    projection: Projection,
    padding_idx: int,
    reduction: str,
) -> Tensor:
    rows = len(labels)
    chunks = -(-rows // rows_at_once(len(projection[0])))
    return F.linear_cross_entropy(
        features,
        projection[0],
        labels,
        linear_bias=projection[1],
        reduction=reduction,
        ignore_index=padding_idx,
        options=torch.nn.LinearCrossEntropyOptions(batch_chunk_size=-(-rows // chunks)),
    )
