"""The criterion: label-smoothed cross-entropy of every unroll step, weighted and summed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.logging import metrics
from fairseq.models import ARCH_MODEL_REGISTRY
from torch import Tensor
from torch.nn import Module

from teaforn_fairseq.loss import UnrollSettings
from teaforn_fairseq.step_weights import step_weights
from teaforn_fairseq.twins import chosen_arch, require_unrollable

# In this order on every rank: fairseq sums the log over ranks by position, not by key.
PER_STEP_KEYS = ("nll_loss", "n_correct")


@dataclass
class TeaForNCrossEntropyCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teaforn_n: int = field(
        default=2,
        metadata={"help": "number of unroll steps N, at least 1; 1 is teacher forcing"},
    )
    teaforn_discount: float = field(
        default=0.5,
        metadata={"help": "weight of step i is discount^(i-1), discount from 0 to 1"},
    )
    # fairseq builds its parser from the annotation and does not understand "str | None".
    teaforn_weights: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "weights of the N steps one by one, comma-separated, not negative, not all"
            " zero; wins over --teaforn-discount",
        },
    )


@register_criterion("teaforn_cross_entropy", dataclass=TeaForNCrossEntropyCriterionConfig)
class TeaForNCrossEntropyCriterion(LabelSmoothedCrossEntropyCriterion):
    """TeaForN's objective on a ``teaforn_*`` architecture (method.md, "The unroll").

    With N = 1 it is ``label_smoothed_cross_entropy`` and runs that code.
    """

    def __init__(
        self,
        task: Any,
        sentence_avg: bool,
        label_smoothing: float,
        ignore_prefix_size: int = 0,
        report_accuracy: bool = False,
        teaforn_n: int = 2,
        teaforn_discount: float = 0.5,
        teaforn_weights: str | None = None,
    ):
        """Take the options of the command line.

        Raises:
            ValueError: ``--teaforn-n`` below 1, a discount outside [0, 1], or weights that are
                not N numbers, negative or all zero.
        """
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        self.weights = step_weights(teaforn_n, teaforn_discount, teaforn_weights)

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> "TeaForNCrossEntropyCriterion":
        """Construct it from fairseq's configuration.

        Raises:
            ValueError: ``--arch`` names no ``teaforn_*`` architecture.
        """
        arch = chosen_arch(cfg)
        if arch is not None:
            require_unrollable(ARCH_MODEL_REGISTRY[arch], arch)
        return super().build_criterion(cfg, task)

    def forward(
        self, model: Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Any, dict[str, Any]]:
        """Compute the loss of one batch.

        Returns:
            loss: weighted sum over steps and target tokens, in nats.
            sample_size: what the gradient is divided by, target tokens (or sentences with
                ``--sentence-avg``), counted once whatever N.
            logging_output: sums, the same keys on every batch.

        Raises:
            ValueError: the model is not a ``teaforn_*`` architecture.
        """
        require_unrollable(model)
        if len(self.weights) == 1:
            loss, sample_size, log = super().forward(model, sample, reduce=reduce)
            per_step = {key: [log[key]] for key in PER_STEP_KEYS if key in log}
            return loss, sample_size, log | _numbered(per_step)
        unrolled = model(
            **sample["net_input"], target=sample["target"], teaforn=self._settings(reduce)
        )
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        return unrolled["loss"], sample_size, self._log(unrolled, sample, sample_size)

    def _settings(self, reduce: bool) -> UnrollSettings:
        return UnrollSettings(
            weights=self.weights,
            label_smoothing=self.eps,
            ignore_prefix_size=self.ignore_prefix_size,
            report_accuracy=self.report_accuracy,
            reduce=reduce,
        )

    def _log(
        self, unrolled: dict[str, Tensor], sample: dict[str, Any], sample_size: Any
    ) -> dict[str, Any]:
        log = {
            "loss": unrolled["loss"].detach(),
            "nll_loss": unrolled["nll_loss"][0],
            "ntokens": sample["ntokens"],
            "nsentences": sample["target"].size(0),
            "sample_size": sample_size,
        }
        if self.report_accuracy:
            log.update(n_correct=unrolled["n_correct"][0], total=unrolled["total"])
        return log | _numbered(unrolled)

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log stock's values, which are step 1's, then every step's own.

        ``nll_loss_<i>`` is a mean over target tokens in bits, like ``nll_loss``; ``accuracy_<i>``
        is in percent.
        """
        super().reduce_metrics(logging_outputs)
        ntokens = sum(log.get("ntokens", 0) for log in logging_outputs)
        total = sum(log.get("total", 0) for log in logging_outputs)
        for step in range(1, _num_steps(logging_outputs) + 1):
            nll = sum(log.get(f"nll_loss_{step}", 0) for log in logging_outputs)
            metrics.log_scalar(f"nll_loss_{step}", nll / ntokens / math.log(2), ntokens, round=3)
            if total > 0:
                n_correct = sum(log.get(f"n_correct_{step}", 0) for log in logging_outputs)
                metrics.log_scalar(f"accuracy_{step}", 100.0 * n_correct / total, total, round=3)


def _numbered(per_step: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
    """Spell each step's values out as ``<key>_1``, ``<key>_2``, ..."""
    return {
        f"{key}_{step}": value
        for key in PER_STEP_KEYS
        for step, value in enumerate(per_step.get(key, ()), start=1)
    }


def _num_steps(logging_outputs: list[dict[str, Any]]) -> int:
    keys = set().union(*logging_outputs)
    return sum(key.startswith("nll_loss_") for key in keys)
