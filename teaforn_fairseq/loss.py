"""The loss of an unroll: every step's label-smoothed cross-entropy, weighted and summed.

    loss = - sum_i lambda_i sum_t log p_t^(i)[y_t]             sum over non-pad t

All sums are over the real target tokens, in nats; label smoothing is fairseq's (eps spread over
the V - 1 wrong labels). B batch, T target length, C features, V vocabulary, N unroll steps.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch import Tensor


@dataclass(frozen=True)
class UnrollSettings:
    """What a criterion asks of a model's unroll.

    Attributes:
        weights: lambda_1..lambda_N; their number is N.
        label_smoothing: fairseq's eps, 0 to 1.
        ignore_prefix_size: number of leading target slots whose loss does not count.
        report_accuracy: count correct predictions as well (one more pass over the vocabulary).
        reduce: sum the loss over tokens; otherwise keep one entry a slot.
    """

    weights: tuple[float, ...]
    label_smoothing: float = 0.0
    ignore_prefix_size: int = 0
    report_accuracy: bool = False
    reduce: bool = True


def unroll_loss(
    steps: Iterable[Tensor],
    target: Tensor,
    output_layer: Callable[[Tensor], Tensor],
    padding_idx: int,
    settings: UnrollSettings,
) -> dict[str, Tensor]:
    """Weighted loss of all steps, consumed one by one.

    Args:
        steps: N tensors (B, T, C), the features h^(1)..h^(N).
        target: (B, T) labels y_1..y_T, the same for every step.
        output_layer: maps features (B, T, C) to logits (B, T, V).
        padding_idx: label that does not count.
        settings: weights and options of the loss.

    Returns:
        ``loss``: () weighted sum over steps and tokens, in nats; (B * T, 1) without ``reduce``.
        ``nll_loss``: (N,) unsmoothed sum of each step, detached; (N, B * T, 1) without ``reduce``.
        ``n_correct``: (N,) right argmax predictions of each step, only with ``report_accuracy``.
        ``total``: () tokens that count, only with ``report_accuracy``.
    """
    skip = settings.ignore_prefix_size
    target = target[:, skip:]
    losses, nlls, n_correct = [], [], []
    for weight, features in zip(settings.weights, steps, strict=True):
        lprobs = log_probs(output_layer(features[:, skip:]))
        loss, nll = label_smoothed_nll_loss(
            lprobs.flatten(0, 1),
            target.flatten(),
            settings.label_smoothing,
            ignore_index=padding_idx,
            reduce=settings.reduce,
        )
        losses.append(weight * loss)
        nlls.append(nll.detach())
        if settings.report_accuracy:
            n_correct.append((lprobs.argmax(-1).eq(target) & target.ne(padding_idx)).sum())
    result = {"loss": torch.stack(losses).sum(0), "nll_loss": torch.stack(nlls)}
    if settings.report_accuracy:
        result["n_correct"] = torch.stack(n_correct)
        result["total"] = target.ne(padding_idx).sum()
    return result


def log_probs(logits: Tensor) -> Tensor:
    """Natural log-softmax over the last axis, in float32 for half-precision logits."""
    half = logits.dtype in (torch.float16, torch.bfloat16)
    return F.log_softmax(logits, dim=-1, dtype=torch.float32 if half else None)
