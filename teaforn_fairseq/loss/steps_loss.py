"""The loss of an unroll: every step's label-smoothed cross-entropy, weighted and summed.

    loss = - sum_i lambda_i sum_t log p_t^(i)[y_t]             sum over non-pad t

All sums are over the real target tokens, in nats; label smoothing is fairseq's (eps spread over
the V - 1 wrong labels). n tokens, C features, V vocabulary, N unroll steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch import Tensor

from teaforn_fairseq.loss.fused import fused_loss, rows_at_once

Projection = tuple[Tensor, Tensor | None]  # W (V, C), b (V,) or None


@dataclass(frozen=True)
class LossSettings:
    """How the steps' losses are taken and summed.

    Attributes:
        weights: lambda_1..lambda_N.
        label_smoothing: fairseq's eps, 0 to 1.
        ignore_prefix_size: number of leading target slots whose loss does not count.
        report_accuracy: count correct predictions as well (one more pass over the vocabulary).
        reduce: sum the loss over tokens; otherwise keep one entry a token.
        fused: by ``linear_cross_entropy``; otherwise by logits and fairseq's own loss, which
            keeps each step's logits for the backward pass.
        share: r, above 0, at most 1: share of the tokens of steps 2..N, drawn at random, that
            are projected onto the vocabulary; their weight is divided by it.
    """

    weights: tuple[float, ...]
    label_smoothing: float = 0.0
    ignore_prefix_size: int = 0
    report_accuracy: bool = False
    reduce: bool = True
    fused: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class _Step:
    features: Tensor  # (n, C)
    labels: Tensor  # (n,), padding where the loss does not count
    weight: float
    ntokens: Tensor  # (), the ignored prefix included as in fairseq


def unroll_loss(
    steps: Iterable[Tensor],
    labels: Sequence[Tensor],
    ignored: Tensor | None,
    projection: Projection,
    padding_idx: int,
    settings: LossSettings,
) -> dict[str, Tensor]:
    """Weighted loss of all steps.

    Args:
        steps: N tensors (n, C), the features h^(1)..h^(N), consumed one by one.
        labels: N tensors (n,), what each step is to predict.
        ignored: (n,) bool, true where a token's loss does not count; None for nowhere.
        projection: W and b.
        padding_idx: label that does not count.
        settings: weights and options of the loss.

    Returns:
        ``loss``: () weighted sum over steps and tokens, in nats; (n, 1) without ``reduce``.
        ``parts``: (N,) what each step adds to ``loss``, detached.
        ``nll_loss``: (N,) unsmoothed sum of each step, detached; (N, n, 1) without ``reduce``.
        ``ntokens``: (N,) labels of each step that were projected, the ignored prefix included
            as in fairseq.
        ``n_correct``: (N,) right argmax predictions of each step, only with ``report_accuracy``.
        ``total``: (N,) labels that were compared with them, only with ``report_accuracy``.
    """
    chosen = _choose(steps, labels, ignored, padding_idx, settings)
    if settings.fused and settings.reduce:
        chosen = list(chosen)
        fields = ([getattr(x, name) for x in chosen] for name in ("features", "labels", "weight"))
        loss, nll, parts = fused_loss(*fields, projection, padding_idx, settings.label_smoothing)
        counts = [_counts(step, projection, padding_idx, settings) for step in chosen]
    else:
        losses, nlls, counts = [], [], []
        for step in chosen:
            one, unsmoothed = _plain(step, projection, padding_idx, settings)
            losses.append(step.weight * one)
            nlls.append(unsmoothed.detach())
            counts.append(_counts(step, projection, padding_idx, settings))
        loss, nll = torch.stack(losses).sum(0), torch.stack(nlls)
        parts = torch.stack([x.detach().sum() for x in losses])
    result = {key: torch.stack([values[key] for values in counts]) for key in counts[0]}
    return {"loss": loss, "parts": parts, "nll_loss": nll, **result}


def _choose(
    steps: Iterable[Tensor],
    labels: Sequence[Tensor],
    ignored: Tensor | None,
    padding_idx: int,
    settings: LossSettings,
) -> Iterator[_Step]:
    """The tokens of each step that are projected, and what a token of it weighs."""
    for number, (features, y) in enumerate(zip(steps, labels, strict=True)):
        weight, size = settings.weights[number], len(y)
        kept = size if number == 0 else max(1, round(settings.share * size))
        counted = y if ignored is None else y.masked_fill(ignored, padding_idx)
        if kept < size:
            drawn = torch.randperm(size, device=y.device)[:kept]
            features, counted, y = features[drawn], counted[drawn], y[drawn]
            weight = weight * size / kept
        yield _Step(features, counted, weight, y.ne(padding_idx).sum())


def _plain(
    step: _Step, projection: Projection, padding_idx: int, settings: LossSettings
) -> tuple[Tensor, Tensor]:
    return label_smoothed_nll_loss(
        log_probs(F.linear(step.features, *projection)),
        step.labels,
        settings.label_smoothing,
        ignore_index=padding_idx,
        reduce=settings.reduce,
    )


def _counts(
    step: _Step, projection: Projection, padding_idx: int, settings: LossSettings
) -> dict[str, Tensor]:
    if not settings.report_accuracy:
        return {"ntokens": step.ntokens}
    real = step.labels.ne(padding_idx)
    chunks = step.features.split(rows_at_once(len(projection[0])))
    with torch.no_grad():
        best = [F.linear(chunk, *projection).argmax(-1) for chunk in chunks]
    right = torch.cat(best).eq(step.labels) & real
    return {"ntokens": step.ntokens, "n_correct": right.sum(), "total": real.sum()}


def log_probs(logits: Tensor) -> Tensor:
    """Natural log-softmax over the last axis, in float32 for half-precision logits."""
    half = logits.dtype in (torch.float16, torch.bfloat16)
    return F.log_softmax(logits, dim=-1, dtype=torch.float32 if half else None)
