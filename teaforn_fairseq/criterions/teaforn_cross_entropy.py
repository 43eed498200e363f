"""The criterion: label-smoothed cross-entropy of every unroll step, weighted and summed."""

import logging
import math
from collections.abc import Iterable, Mapping
from itertools import chain, islice, repeat
from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from torch import Tensor
from torch.nn import Module

from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.loss import fused as fused_loss
from teaforn_fairseq.loss.steps_loss import LossSettings
from teaforn_fairseq.models.twins import chosen_model, require_unrollable
from teaforn_fairseq.models.unrollable import NUM_SLOTS
from teaforn_fairseq.unroll.plan import make_plan
from teaforn_fairseq.unroll.presets import in_force

FUSED = True
STOCK1 = True
logger = logging.getLogger(__name__)

# In this order on every rank: fairseq sums the log over ranks by position, not by key.
PER_STEP_KEYS = ("nll_loss", "ntokens", "n_correct", "total")


@register_criterion("teaforn_cross_entropy", dataclass=TeaForNCrossEntropyCriterionConfig)
class TeaForNCrossEntropyCriterion(LabelSmoothedCrossEntropyCriterion):
    """TeaForN's objective on a ``teaforn_*`` architecture (method.md, "The unroll").

    With N = 1 it is ``label_smoothed_cross_entropy``; with the plain loss it runs that very code.
    """

    def __init__(
        self,
        task: Any,
        sentence_avg: bool,
        label_smoothing: float,
        ignore_prefix_size: int = 0,
        report_accuracy: bool = False,
        teaforn_preset: str | None = None,
        teaforn_n: str | None = None,
        teaforn_discount: str | None = None,
        teaforn_weights: str | None = None,
        teaforn_feedback: str | None = None,
        teaforn_topk: int | None = None,
        teaforn_temperature: float | None = None,
        teaforn_hard: bool = False,
        teaforn_detach: bool = False,
        teaforn_labels: str | None = None,
        teaforn_mix: str | None = None,
        teaforn_sample_positions: float | None = None,
        teaforn_every: int | None = None,
        teaforn_recompute: bool = False,
        teaforn_loss_impl: str | None = None,
    ):
        """Take the options of the command line; None stands for the preset's or the default.

        Raises:
            ValueError: a value out of its range, or an option that would do nothing.
        """
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        given = {
            "n": _text(teaforn_n),
            "discount": _text(teaforn_discount),
            "weights": teaforn_weights,
            "feedback": _text(teaforn_feedback),
            "topk": teaforn_topk,
            "temperature": teaforn_temperature,
            "hard": teaforn_hard,
            "detach": teaforn_detach,
            "labels": _text(teaforn_labels),
            "mix": _text(teaforn_mix),
            "sample_positions": teaforn_sample_positions,
            "every": teaforn_every,
            "recompute": teaforn_recompute,
            "loss_impl": _text(teaforn_loss_impl),
        }
        options = in_force(_text(teaforn_preset), given)
        self.plan = make_plan(options)
        self.fused = fused_loss.chosen(options["loss_impl"])
        self.stock_loss = options["loss_impl"] == "plain"
        in_words = (f"--teaforn-{name.replace('_', '-')} {x}" for name, x in options.items())
        logger.info("in force: %s", " ".join(in_words))
        logger.info("loss by %s", "linear_cross_entropy" if self.fused else "logits")

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> "TeaForNCrossEntropyCriterion":
        """Construct it from fairseq's configuration.

        Raises:
            ValueError: ``--arch`` names no ``teaforn_*`` architecture, or one that the feedback
                cannot work with.
        """
        criterion = super().build_criterion(cfg, task)
        arch, model_class, model_cfg = chosen_model(cfg)
        if arch is not None:
            require_unrollable(model_class, arch)
            widths = model_class.unroll_widths(model_cfg)
            criterion.plan.feedback.check(*widths, len(task.target_dictionary))
            model_class.check_plan(model_cfg, criterion.plan)
        return criterion

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
        training = model.training
        unroll_settings, weights = self.plan.at(model.num_updates, training)
        teacher_forcing = unroll_settings.num_steps == 1 and not unroll_settings.free_running
        if teacher_forcing and self.stock_loss:
            loss, sample_size, log = super().forward(model, sample, reduce=reduce)
            per_step = {key: [log[key]] for key in PER_STEP_KEYS if key in log}
            return loss, sample_size, log | self._numbered(per_step)
        unrolled = model(
            **sample["net_input"],
            target=sample["target"],
            num_tokens=sample.get(NUM_SLOTS),
            unroll_settings=unroll_settings,
            loss_settings=self._loss_settings(weights, reduce, training),
        )
        # fairseq counts a language model's slots without a label too: nll_loss is nll_loss_1.
        unrolled["ntokens"] += sample["ntokens"] - unrolled["ntokens"][0]
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        return unrolled["loss"], sample_size, self._log(unrolled, sample, sample_size)

    def _loss_settings(
        self, weights: tuple[float, ...], reduce: bool, training: bool
    ) -> LossSettings:
        return LossSettings(
            weights=weights,
            label_smoothing=self.eps,
            ignore_prefix_size=self.ignore_prefix_size,
            report_accuracy=self.report_accuracy,
            reduce=reduce,
            fused=self.fused,
            share=self.plan.share if training else 1.0,
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
            log.update(n_correct=unrolled["n_correct"][0], total=unrolled["total"][0])
        return log | self._numbered(unrolled)

    def _numbered(self, per_step: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
        """Spell each step's values out as ``<key>_1``, ``<key>_2``, ...

        A schedule's steps that are not run yet hold zeros: no labels, no loss.
        """
        return {
            f"{key}_{step}": value
            for key in PER_STEP_KEYS
            if key in per_step
            for step, value in enumerate(
                islice(chain(per_step[key], repeat(0)), self.plan.max_steps), start=1
            )
        }

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log stock's values, which are step 1's, then every step's own.

        ``nll_loss_<i>`` is a mean over the labels of step i in bits, like ``nll_loss``;
        ``accuracy_<i>`` is in percent of them. A step without labels logs neither.
        """
        super().reduce_metrics(logging_outputs)
        for step in range(1, _num_steps(logging_outputs) + 1):
            nll, ntokens, n_correct, total = (
                sum(log.get(f"{key}_{step}", 0) for log in logging_outputs) for key in PER_STEP_KEYS
            )
            if ntokens > 0:
                bits = nll / ntokens / math.log(2)
                metrics.log_scalar(f"nll_loss_{step}", bits, ntokens, round=3)
            if total > 0:
                metrics.log_scalar(f"accuracy_{step}", 100.0 * n_correct / total, total, round=3)


def _num_steps(logging_outputs: list[dict[str, Any]]) -> int:
    keys = set().union(*logging_outputs)
    return sum(key.startswith("nll_loss_") for key in keys)


def _text(value: Any) -> str | None:
    """An option as text, whether it came as text, number or fairseq's choice."""
    return None if value is None else str(value)
