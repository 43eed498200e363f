"""The loss of an unroll: every step's label-smoothed cross-entropy, weighted and summed.

    loss = - sum_i lambda_i sum_t log p_t^(i)[y_t]             sum over non-pad t

All sums are over the real target tokens, in nats; label smoothing is fairseq's (eps spread over
the V - 1 wrong labels). B batch, T target length, C features, V vocabulary, N unroll steps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch import Tensor


@dataclass(frozen=True)
class LossSettings:
    """How the steps' losses are taken and summed.

    Attributes:
        weights: lambda_1..lambda_N.
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
    labels: Sequence[Tensor],
    logits: Callable[[Tensor], Tensor],
    padding_idx: int,
    settings: LossSettings,
) -> dict[str, Tensor]:
    """Weighted loss of all steps, consumed one by one.

    Args:
        steps: N tensors (B, T, C), the features h^(1)..h^(N).
        labels: N tensors (B, T), what each step is to predict.
        logits: maps features (B, T, C) to logits (B, T, V).
        padding_idx: label that does not count.
        settings: weights and options of the loss.

    Returns:
        ``loss``: () weighted sum over steps and tokens, in nats; (B * T, 1) without ``reduce``.
        ``nll_loss``: (N,) unsmoothed sum of each step, detached; (N, B * T, 1) without ``reduce``.
        ``ntokens``: (N,) labels of each step, the ignored prefix included as in fairseq.
        ``n_correct``: (N,) right argmax predictions of each step, only with ``report_accuracy``.
        ``total``: (N,) labels that were compared with them, only with ``report_accuracy``.
    """
    per_step = [
        _step_loss(logits(features[:, settings.ignore_prefix_size :]), label, padding_idx, settings)
        for features, label in zip(steps, labels, strict=True)
    ]
    result = {key: torch.stack([values[key] for values in per_step]) for key in per_step[0]}
    weighted = [
        weight * values["loss"] for weight, values in zip(settings.weights, per_step, strict=True)
    ]
    return result | {"loss": torch.stack(weighted).sum(0)}


def _step_loss(
    logits: Tensor, label: Tensor, padding_idx: int, settings: LossSettings
) -> dict[str, Tensor]:
    lprobs = log_probs(logits)
    counted = label[:, settings.ignore_prefix_size :]
    loss, nll = label_smoothed_nll_loss(
        lprobs.flatten(0, 1),
        counted.flatten(),
        settings.label_smoothing,
        ignore_index=padding_idx,
        reduce=settings.reduce,
    )
    values = {"loss": loss, "nll_loss": nll.detach(), "ntokens": label.ne(padding_idx).sum()}
    if settings.report_accuracy:
        real = counted.ne(padding_idx)
        values["n_correct"] = (lprobs.argmax(-1).eq(counted) & real).sum()
        values["total"] = real.sum()
    return values


def log_probs(logits: Tensor) -> Tensor:
    """Natural log-softmax over the last axis, in float32 for half-precision logits."""
    half = logits.dtype in (torch.float16, torch.bfloat16)
    return F.log_softmax(logits, dim=-1, dtype=torch.float32 if half else None)
