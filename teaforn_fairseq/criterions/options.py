"""The criterion's flags, each declared here once: type, help, default, and where it does nothing.

A flag ``--teaforn-x`` acts where its name is read: as field ``x`` of a feedback, of
``UnrollSettings`` or of ``LossSettings``, which it fills by itself, or as ``options["x"]`` in
``unroll.plan.make_plan`` and in the criterion.
"""

from dataclasses import Field, dataclass, field, fields
from typing import Any, Optional

from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.dataclass import ChoiceEnum

from teaforn_fairseq.feedbacks import FEEDBACKS
from teaforn_fairseq.feedbacks.gumbel import Gumbel
from teaforn_fairseq.feedbacks.topk import TopK
from teaforn_fairseq.loss.fused import IMPLEMENTATIONS
from teaforn_fairseq.unroll.presets import PRESETS
from teaforn_fairseq.unroll.steps import LABELS

PREFIX = "teaforn_"
DETACHABLE = [name for name, x in sorted(FEEDBACKS.items()) if x.differentiable]
FEEDBACK_CHOICES = ChoiceEnum(sorted(FEEDBACKS))
LABELS_CHOICES = ChoiceEnum(list(LABELS))
LOSS_CHOICES = ChoiceEnum(list(IMPLEMENTATIONS))
PRESET_CHOICES = ChoiceEnum(list(PRESETS))


def _flag(
    help_text: str,
    default: Any = None,
    *,
    shown: Any = None,
    idle_with: tuple[str, ...] = (),
    neutral: Any = None,
) -> Any:
    """A flag that is None unless given by hand, so that a preset can fill it.

    Args:
        help_text: what it does and its range, without the default.
        default: what is in force where neither hand nor preset sets it.
        shown: the default in the help where whoever reads the flag has it.
        idle_with: values of ``--teaforn-n`` with which it does nothing and is refused.
        neutral: a value that is never refused, because it says what is so anyway.
    """
    shown = default if shown is None else shown
    text = help_text if shown is None else f"{help_text} (default: {shown})"
    return _field(None, text, default=default, idle_with=idle_with, neutral=neutral)


def _switch(help_text: str, *, idle_with: tuple[str, ...] = ()) -> Any:
    """A flag without a value, off unless given; the arguments are those of :func:`_flag`."""
    return _field(False, help_text, default=None, idle_with=idle_with, neutral=None)


def _field(value: bool | None, help_text: str, **rules: Any) -> Any:
    return field(default=value, metadata={"help": help_text, **rules})


# fairseq builds its parser from the annotations and does not understand "str | None"; its choices
# are made at run time.
# pyright: reportInvalidTypeForm=false
@dataclass
class TeaForNCrossEntropyCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teaforn_preset: Optional[PRESET_CHOICES] = _flag(  # noqa: UP045
        "set the options below as the literature's system has them; those given by hand win"
    )
    teaforn_n: Optional[str] = _flag(  # noqa: UP045
        "number of unroll steps N, at least 1; 1 is teacher forcing; a schedule over updates, as in"
        " 1@0,2@10000,3@20000; or full, free running to the end of each target",
        "2",
    )
    # Equal weights find path-star's way more surely (docs/results/path-star.md), and on text cost a
    # percent of the next tokens; 0.25 and 0.125 translate as 0.5 does (docs/results/multi30k.md,
    # "On a CPU" and "Other settings").
    teaforn_discount: Optional[str] = _flag(  # noqa: UP045
        "weight of step i is discount^(i-1), discount from 0 to 1; or a schedule",
        "0.5",
        idle_with=("full",),
    )
    teaforn_weights: Optional[str] = _flag(  # noqa: UP045
        "weights of the N steps one by one, comma-separated, not negative, not all zero; wins over"
        " --teaforn-discount",
        idle_with=("full",),
    )
    teaforn_normalize: bool = _switch(
        "divide the weights of the steps by their sum, so that the gradient does not grow with N",
        idle_with=("1", "full"),
    )
    teaforn_feedback: Optional[FEEDBACK_CHOICES] = _flag(  # noqa: UP045
        "what a step hands to the next: its hidden states, or embeddings",
        "hidden",
        idle_with=("1",),
    )
    teaforn_topk: Optional[int] = _flag(  # noqa: UP045
        "feedback topk: number of likeliest words, 0 for all of them",
        shown=TopK.topk,
        idle_with=("1",),
    )
    teaforn_temperature: Optional[float] = _flag(  # noqa: UP045
        "feedback gumbel: temperature, above 0", shown=f"{Gumbel.temperature:g}", idle_with=("1",)
    )
    teaforn_hard: bool = _switch(
        "feedback gumbel: one word a slot, with the soft sample's gradient", idle_with=("1",)
    )
    teaforn_detach: bool = _switch(
        f"cut the gradient between steps (feedbacks {', '.join(DETACHABLE)})", idle_with=("1",)
    )
    teaforn_labels: Optional[LABELS_CHOICES] = _flag(  # noqa: UP045
        "aligned: every step predicts y_1..y_L; shifted: step i y_i..y_L",
        "aligned",
        idle_with=("1", "full"),
        neutral="aligned",
    )
    teaforn_mix: Optional[str] = _flag(  # noqa: UP045
        "share of slots of steps 2..N that take the feedback, from 0 to 1, the others keep their"
        " gold embedding; or a schedule, which may hold linear:K, exponential:K and"
        " inverse-sigmoid:K",
        "1",
        idle_with=("1",),
    )
    teaforn_prompt_end: Optional[str] = _flag(  # noqa: UP045
        "language models: a word of the dictionary; in each row everything up to the first one is"
        " the prompt, which is given at every step and carries no loss"
    )
    teaforn_sample_positions: Optional[float] = _flag(  # noqa: UP045
        "share of the tokens of steps 2..N, drawn at random, that are projected onto the"
        " vocabulary, above 0, at most 1; they weigh as much as all",
        1,
        idle_with=("1", "full"),
    )
    teaforn_every: Optional[int] = _flag(  # noqa: UP045
        "run steps 2..N on every k-th update only, k times as heavy, k at least 1",
        1,
        idle_with=("1", "full"),
    )
    teaforn_recompute: bool = _switch(
        "keep the activations of the last step only and compute the others' again in the backward"
        " pass: memory that does not grow with N",
        idle_with=("1", "full"),
    )
    teaforn_loss_impl: Optional[LOSS_CHOICES] = _flag(  # noqa: UP045
        "fused: projection and loss with the gradients in chunks of tokens, which keep no logits;"
        " plain: by logits, and with one step stock fairseq's own code; auto: fused",
        "auto",
    )


def _declared() -> dict[str, Field]:
    declared = fields(TeaForNCrossEntropyCriterionConfig)
    return {x.name.removeprefix(PREFIX): x for x in declared if x.name.startswith(PREFIX)}


# By the name after --teaforn-, with underscores.
FLAGS = _declared()
DEFAULTS = {
    name: flag.metadata["default"]
    for name, flag in FLAGS.items()
    if flag.metadata["default"] is not None
}
