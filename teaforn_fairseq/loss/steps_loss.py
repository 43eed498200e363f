"""The loss of an unroll: every step's label-smoothed cross-entropy, weighted and summed.

    loss = - sum_i lambda_i sum_t log p_t^(i)[y_t]             sum over non-pad t

All sums are over the real labels, in nats; label smoothing is fairseq's (eps spread over the
V - 1 wrong labels). B batch, T target length, n real target tokens, C features, V vocabulary,
N unroll steps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from teaforn_fairseq.loss.chunks import rows_at_once
from teaforn_fairseq.loss.fused import fused_loss
from teaforn_fairseq.loss.plain import plain_loss
from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.packed.shared_table import Projection


@dataclass(frozen=True)
class LossSettings:
    """How the steps' losses are taken and summed.

    Attributes:
        weights: lambda_1..lambda_N.
        label_smoothing: fairseq's eps, 0 to 1.
        report_accuracy: count correct predictions as well (one more pass over the vocabulary).
        reduce: sum the loss over tokens; otherwise keep one entry a token.
        fused: in chunks with their gradients; otherwise by logits and fairseq's own loss, which
            keeps each step's logits for the backward pass.
        share: r, above 0, at most 1: share of the tokens of steps 2..N, drawn at random, that
            are projected onto the vocabulary; their weight is divided by it.
    """

    weights: tuple[float, ...]
    label_smoothing: float = 0.0
    report_accuracy: bool = False
    reduce: bool = True
    fused: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Labels:
    """What the steps are to predict.

    Attributes:
        target: (B, T) labels y_1..y_T.
        shifted: step i predicts y_i..y_L from its first slot on; otherwise y_1..y_L.
        ignored: (B, T) bool, true at the labels whose loss does not count; None for nowhere.
    """

    target: Tensor
    shifted: bool
    ignored: Tensor | None


@dataclass(frozen=True)
class _Step:
    features: Tensor  # (n, C)
    labels: Tensor  # (n,), padding where the loss does not count
    weight: float
    ntokens: Tensor  # (), the ignored prefix included as in fairseq


@dataclass(frozen=True)
class StepsLoss:
    """The loss of all steps of one forward pass.

    Attributes:
        projection: W and b.
        padding_idx: label that does not count.
        settings: weights and options of the loss.
    """

    projection: Projection
    padding_idx: int
    settings: LossSettings

    def __call__(
        self, steps: Iterable[Tensor], labels: Labels, packing: Packing
    ) -> dict[str, Tensor]:
        """Weighted loss of all steps.

        Args:
            steps: N tensors (n, C), the features h^(1)..h^(N), consumed one by one.
            labels: what they are to predict.
            packing: where the n real tokens stand.

        Returns:
            ``loss``: () weighted sum over steps and tokens, in nats; (B * T, 1) without
                ``reduce``.
            ``parts``: (N,) what each step adds to ``loss``, summed over tokens, detached.
            ``nll_loss``: (N,) unsmoothed sum of each step, detached; (N, B * T, 1) without
                ``reduce``.
            ``ntokens``: (N,) labels of each step that were projected, the ignored prefix included
                as in fairseq.
            ``n_correct``: (N,) right argmax predictions of each step, only with
                ``report_accuracy``.
            ``total``: (N,) labels that were compared with them, only with ``report_accuracy``.
            ``n_ahead``: (N,) slots at which steps 1..i are all right, about one label if labels
                are aligned, about the next i if shifted; only with ``report_accuracy``. Zeros if
                steps 2..N draw tokens, as each draws others.
            ``total_ahead``: (N,) slots at which steps 1..i all have a label that counts, likewise.
        """
        settings = self.settings
        every, counted = self._of_steps(labels, packing)
        chosen = [
            self._choose(number, features, every[number], counted[number])
            for number, features in enumerate(steps)
        ]
        fused = settings.fused and settings.reduce
        loss_of = fused_loss if fused else partial(plain_loss, reduce=settings.reduce)
        loss, nll, parts = loss_of(
            [step.features for step in chosen],
            [step.labels for step in chosen],
            [step.weight for step in chosen],
            self.projection,
            self.padding_idx,
            settings.label_smoothing,
        )
        if not settings.reduce:
            loss = packing.unpack(loss).view(-1, 1)  # n x 1 -> B x T x 1 -> B * T x 1
            nll = torch.stack([packing.unpack(x).view(-1, 1) for x in nll])
        ntokens = torch.stack([step.ntokens for step in chosen])
        counts = self._accuracy(chosen) if settings.report_accuracy else {}
        return {"loss": loss, "parts": parts, "nll_loss": nll, "ntokens": ntokens, **counts}

    def _of_steps(self, labels: Labels, packing: Packing) -> tuple[list[Tensor], list[Tensor]]:
        """N labels (n,), with the ignored ones and with padding in their place."""
        pad, num_steps = self.padding_idx, len(self.settings.weights)
        every = step_labels(labels.target, packing, num_steps, labels.shifted, pad)
        if labels.ignored is None:
            return every, every
        rest = labels.target.masked_fill(labels.ignored, pad)
        return every, step_labels(rest, packing, num_steps, labels.shifted, pad)

    def _choose(self, number: int, features: Tensor, y: Tensor, counted: Tensor) -> _Step:
        """The tokens of a step that are projected, and what a token of it weighs."""
        weight, size = self.settings.weights[number], len(y)
        kept = size if number == 0 else max(1, round(self.settings.share * size))
        if kept < size:
            drawn = torch.randperm(size, device=y.device)[:kept]
            features, counted, y = features[drawn], counted[drawn], y[drawn]
            weight = weight * size / kept
        return _Step(features, counted, weight, y.ne(self.padding_idx).sum())

    def _accuracy(self, chosen: Sequence[_Step]) -> dict[str, Tensor]:
        right, real = zip(*(self._right(step) for step in chosen), strict=True)
        n_correct, total = (torch.stack([x.sum() for x in steps]) for steps in (right, real))
        if self.settings.share < 1:
            n_ahead, total_ahead = torch.zeros_like(n_correct), torch.zeros_like(total)
        else:
            n_ahead, total_ahead = (torch.stack(x).cumprod(0).sum(1) for x in (right, real))
        ahead = {"n_ahead": n_ahead, "total_ahead": total_ahead}
        return {"n_correct": n_correct, "total": total, **ahead}

    def _right(self, step: _Step) -> tuple[Tensor, Tensor]:
        """(n,) bool each: where the likeliest word is the label, and where a label counts."""
        real = step.labels.ne(self.padding_idx)
        chunks = step.features.split(rows_at_once(self.projection[0]))
        with torch.no_grad():
            best = [F.linear(chunk, *self.projection).argmax(-1) for chunk in chunks]
        return torch.cat(best).eq(step.labels) & real, real


def step_labels(
    target: Tensor, packing: Packing, num_steps: int, shifted: bool, padding_idx: int
) -> list[Tensor]:
    """What each step is to predict.

    Args:
        target: (B, T) labels y_1..y_L.
        packing: where the n real target tokens stand.
        num_steps: N.
        shifted: step i predicts y_i..y_L from its first slot on; otherwise y_1..y_L.
        padding_idx: label that does not count.

    Returns:
        N tensors (n,).
    """
    labels = packing.pack(target)
    return [packing.ahead(labels, step * shifted, padding_idx) for step in range(num_steps)]
