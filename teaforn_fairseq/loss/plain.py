"""Output projection and cross-entropy of all steps by logits and fairseq's own loss.

Each step's logits are kept for the backward pass. The counterpart, which keeps none, is
:func:`teaforn_fairseq.loss.fused.fused_loss`.
n_i tokens of step i, C features, V vocabulary, N unroll steps.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch import Tensor

from teaforn_fairseq.packed.shared_table import Projection


def plain_loss(
    features: Sequence[Tensor],
    labels: Sequence[Tensor],
    weights: Sequence[float],
    projection: Projection,
    padding_idx: int,
    label_smoothing: float,
    reduce: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted loss of all steps, summed over real tokens, in nats.

    Args:
        features: N tensors (n_i, C).
        labels: N tensors (n_i,).
        weights: N weights.
        projection: W (V, C) and b (V,) or None.
        padding_idx: label that does not count.
        label_smoothing: fairseq's eps, 0 to 1.
        reduce: sum over tokens; otherwise every n_i is the same n and each token has an entry.

    Returns:
        The weighted sum (), smoothed; each step's unsmoothed sum (N,), detached; and what each
        step adds to the weighted sum (N,), detached. All are at least float32. Without ``reduce``
        the first two are (n, 1) and (N, n, 1).
    """
    losses, nlls = [], []
    for h, y, weight in zip(features, labels, weights, strict=True):
        loss, nll = label_smoothed_nll_loss(
            _log_probs(F.linear(h, *projection)),
            y,
            label_smoothing,
            ignore_index=padding_idx,
            reduce=reduce,
        )
        losses.append(weight * loss)
        nlls.append(nll.detach())
    parts = torch.stack([loss.detach().sum() for loss in losses])
    return torch.stack(losses).sum(0), torch.stack(nlls), parts


def _log_probs(logits: Tensor) -> Tensor:
    """Natural log-softmax over the last axis, in float32 for half-precision logits."""
    half = logits.dtype in (torch.float16, torch.bfloat16)
    return F.log_softmax(logits, dim=-1, dtype=torch.float32 if half else None)
