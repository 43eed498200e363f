"""The criterion: label-smoothed cross-entropy of every unroll step, weighted and summed."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice, repeat
from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from torch import Tensor

from teaforn_fairseq.criterions.in_force import as_flags, in_force
from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.criterions.prompt import SIZES, check_model, prompt_of
from teaforn_fairseq.loss.steps_loss import LossSettings
from teaforn_fairseq.models.twins import chosen_model, require_unrollable
from teaforn_fairseq.models.unrollable import NUM_SLOTS
from teaforn_fairseq.unroll.plan import AtUpdate, make_plan, named
from teaforn_fairseq.unroll.prefix import Prefix

logger = logging.getLogger(__name__)

# In this order on every rank: fairseq sums the log over ranks by position, not by key.
LOSS_KEYS = ("nll_loss", "ntokens")
AHEAD_KEYS = ("n_ahead", "total_ahead")  # of steps 2..N: step 1 alone is its accuracy
PER_STEP_KEYS = (*LOSS_KEYS, "n_correct", "total", *AHEAD_KEYS)
# Steps 2..N of a token in nats; fairseq keeps in checkpoints, but does not show, such a name.
AHEAD = "_loss_ahead"


@register_criterion("teaforn_cross_entropy", dataclass=TeaForNCrossEntropyCriterionConfig)
class TeaForNCrossEntropyCriterion(LabelSmoothedCrossEntropyCriterion):
    """TeaForN's objective on a ``teaforn_*`` architecture (method.md, "The unroll").

    With N = 1 it is ``label_smoothed_cross_entropy``; with the plain loss it runs that very code.
    """

    def __init__(self, task: Any, cfg: TeaForNCrossEntropyCriterionConfig):
        """Take the options of the command line; None stands for the preset's or the default.

        Raises:
            ValueError: a value out of its range, or an option that would do nothing.
        """
        super().__init__(
            task,
            # In a config that stands alone it is a reference to another section, a text.
            sentence_avg=cfg.sentence_avg is True,
            label_smoothing=cfg.label_smoothing,
            ignore_prefix_size=cfg.ignore_prefix_size,
            report_accuracy=cfg.report_accuracy,
        )
        options = in_force(cfg)
        self.prompt = prompt_of(options, task, self.ignore_prefix_size)
        prefix = self.prompt.prefix if self.prompt else Prefix(self.ignore_prefix_size)
        plan = make_plan(options)
        self.plan = replace(plan, settings=replace(plan.settings, prefix=prefix))
        fused = options["loss_impl"] != "plain"
        ours = {
            "weights": (),
            "label_smoothing": self.eps,
            "report_accuracy": self.report_accuracy,
            "fused": fused,
        }
        self.loss_settings = LossSettings(**named(LossSettings, options) | ours)
        self.stock_loss = options["loss_impl"] == "plain" and self.prompt is None
        logger.info("in force: %s", as_flags(options))
        logger.info("loss by %s", "chunks" if fused else "logits")
        for steps in self.plan.left_out():
            logger.info("weight 0, so training leaves out %s; validation runs all steps", steps)

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> "TeaForNCrossEntropyCriterion":
        """Construct it from fairseq's configuration.

        Raises:
            ValueError: ``--arch`` names no ``teaforn_*`` architecture, or one that the feedback
                cannot work with, or with ``--teaforn-prompt-end`` one that has an encoder.
        """
        arch, model_class, model_cfg = chosen_model(cfg)
        if arch is not None:
            require_unrollable(model_class, arch)
            check_model(getattr(cfg, "teaforn_prompt_end", None), model_class, arch)
        criterion = super().build_criterion(cfg, task)
        if arch is not None:
            if criterion.plan.feeds_back:
                widths = model_class.unroll_widths(model_cfg)
                criterion.plan.feedback.check(*widths, len(task.target_dictionary))
            model_class.check_plan(model_cfg, criterion.plan)
        return criterion

    def note_labels(self, sample: dict[str, Any]) -> None:
        """Count and check the prompts of a batch that is still on the CPU, if there are any."""
        if self.prompt:
            self.prompt.note_labels(sample)

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Any, dict[str, Any]]:
        """Compute the loss of one batch.

        Returns:
            loss: weighted sum over steps and target tokens, in nats.
            sample_size: what the gradient is divided by, target tokens (or sentences with
                ``--sentence-avg``), counted once whatever N; of prompts none are.
            logging_output: sums, the same keys on every batch.

        Raises:
            ValueError: the model is not a ``teaforn_*`` architecture, or a row has no prompt.
        """
        require_unrollable(model)
        sample = self.prompt.counted(sample) if self.prompt else sample
        now = self.plan.at(model.num_updates, model.training)
        teacher_forcing = now.weights == (1,) and not self.plan.free_running
        if teacher_forcing and self.stock_loss:
            loss, sample_size, log = super().forward(model, sample, reduce=reduce)
            unrolled: dict[str, Any] = {key: [log[key]] for key in PER_STEP_KEYS if key in log}
            unrolled["parts"] = log["loss"].sum().view(1)
        else:
            unrolled = model(
                **sample["net_input"],
                target=sample["target"],
                num_tokens=sample.get(NUM_SLOTS),
                prompt_sizes=sample.get(SIZES),
                unroll_settings=now.settings,
                loss_settings=replace(
                    self.loss_settings, weights=now.weights, share=now.share, reduce=reduce
                ),
            )
            # fairseq counts a language model's slots without a label too: nll_loss is nll_loss_1.
            unrolled["ntokens"] += sample["ntokens"] - unrolled["ntokens"][0]
            loss = unrolled["loss"]
            sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
            log = self._log(unrolled, sample, sample_size)
        log |= self._of_other_updates(unrolled["parts"], sample_size, now)
        return loss, sample_size, log | self._numbered(unrolled)

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
        return log

    def _of_other_updates(self, parts: Tensor, sample_size: Any, now: AtUpdate) -> dict[str, Any]:
        """With ``--teaforn-every``: the loss without the factor k, which is for the gradient;
        what steps 2..N add to it; and the size of a batch that lacks them, or 0.
        """
        if self.plan.every == 1:
            return {}
        ahead = parts[1:].sum() / now.factor
        skipped = sample_size if now.skips else 0
        return {"loss": parts[0] + ahead, "loss_ahead": ahead, "skipped": skipped}

    def _numbered(self, per_step: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
        """Spell each step's values out as ``<key>_1``, ``<key>_2``, ...

        Steps that are not run at this update hold zeros: no labels, no loss.
        """
        keys = PER_STEP_KEYS if self.report_accuracy else LOSS_KEYS
        return {
            f"{key}_{step}": value
            for key in keys
            for step, value in enumerate(
                islice(chain(per_step.get(key, ()), repeat(0)), self.plan.max_steps), start=1
            )
            if step > 1 or key not in AHEAD_KEYS
        }

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log stock's values, which are step 1's, then every step's own.

        ``nll_loss_<i>`` is a mean over the labels of step i in bits, like ``nll_loss``;
        ``accuracy_<i>`` is in percent of them, and ``ahead_<i>``, from step 2 on, in percent of
        the slots that steps 1..i all have a label at: those where all are right. A step without
        labels logs none. In ``loss`` an update that leaves steps 2..N to another one has them as
        they were when they last ran.
        """
        super().reduce_metrics([*logging_outputs, {"loss": _lacking(logging_outputs)}])
        for step in range(1, _num_steps(logging_outputs) + 1):
            sums = {
                key: sum(log.get(f"{key}_{step}", 0) for log in logging_outputs)
                for key in PER_STEP_KEYS
            }
            _log_mean(f"nll_loss_{step}", sums["nll_loss"], sums["ntokens"], unit=math.log(2))
            _log_mean(f"accuracy_{step}", 100.0 * sums["n_correct"], sums["total"])
            _log_mean(f"ahead_{step}", 100.0 * sums["n_ahead"], sums["total_ahead"])


def _log_mean(name: str, value: Any, count: Any, unit: float = 1.0) -> None:
    if count > 0:
        metrics.log_scalar(name, value / count / unit, count, round=3)
    else:
        _forget(name)


def _lacking(logging_outputs: list[dict[str, Any]]) -> Any:
    """What the sum of ``loss`` lacks of steps 2..N where ``--teaforn-every`` left them out."""
    ahead, size, skipped = (
        sum(log.get(key, 0) for log in logging_outputs)
        for key in ("loss_ahead", "sample_size", "skipped")
    )
    if skipped > 0:
        return skipped * _last(AHEAD)
    if any("skipped" in log for log in logging_outputs):
        metrics.log_scalar(AHEAD, ahead / size)
    return 0


def _last(key: str) -> Any:
    """The value that training logged last, before a restart too; 0 where there is none."""
    # fairseq goes on to log beside the meters that it has loaded from the checkpoint.
    for meters in (metrics.get_active_aggregators()[0], metrics.get_meters("default")):
        if key in meters:
            return meters[key].val
    return 0


def _forget(key: str) -> None:
    """Take a mean of nothing out of the log, where fairseq would print None."""
    for meters in metrics.get_active_aggregators():
        if key in meters and meters[key].count == 0:
            del meters[key]
            meters.priorities = [entry for entry in meters.priorities if entry[-1] != key]


def _num_steps(logging_outputs: list[dict[str, Any]]) -> int:
    keys = set().union(*logging_outputs)
    return sum(key.startswith("nll_loss_") for key in keys)
