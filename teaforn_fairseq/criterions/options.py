"""The criterion's options on the command line."""

from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.dataclass import ChoiceEnum

from teaforn_fairseq.feedbacks import FEEDBACKS
from teaforn_fairseq.loss.fused import IMPLEMENTATIONS
from teaforn_fairseq.unroll.presets import DEFAULTS, PRESETS
from teaforn_fairseq.unroll.steps import LABELS

FEEDBACK_CHOICES = ChoiceEnum(sorted(FEEDBACKS))
LABELS_CHOICES = ChoiceEnum(list(LABELS))
LOSS_CHOICES = ChoiceEnum(list(IMPLEMENTATIONS))
PRESET_CHOICES = ChoiceEnum(list(PRESETS))


def _option(help_text: str, default: str | None = None) -> Any:
    """An option that is None unless given by hand, so that a preset can fill it."""
    default_text = f" (default: {default})" if default else ""
    return field(default=None, metadata={"help": help_text + default_text})


# fairseq builds its parser from the annotations and does not understand "str | None".
@dataclass
class TeaForNCrossEntropyCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teaforn_preset: Optional[PRESET_CHOICES] = _option(  # noqa: UP045
        "set the options below as the literature's system has them; those given by hand win"
    )
    teaforn_n: Optional[str] = _option(  # noqa: UP045
        "number of unroll steps N, at least 1; 1 is teacher forcing; a schedule over updates, as in"
        " 1@0,2@10000,3@20000; or full, free running to the end of each target",
        DEFAULTS["n"],
    )
    teaforn_discount: Optional[str] = _option(  # noqa: UP045
        "weight of step i is discount^(i-1), discount from 0 to 1; or a schedule",
        DEFAULTS["discount"],
    )
    teaforn_weights: Optional[str] = _option(  # noqa: UP045
        "weights of the N steps one by one, comma-separated, not negative, not all zero; wins over"
        " --teaforn-discount"
    )
    teaforn_feedback: Optional[FEEDBACK_CHOICES] = _option(  # noqa: UP045
        "what a step hands to the next: its hidden states, or embeddings", DEFAULTS["feedback"]
    )
    teaforn_topk: Optional[int] = _option(  # noqa: UP045
        "feedback topk: number of likeliest words, 0 for all of them", "4"
    )
    teaforn_temperature: Optional[float] = _option(  # noqa: UP045
        "feedback gumbel: temperature, above 0", "1"
    )
    teaforn_hard: bool = field(
        default=False,
        metadata={"help": "feedback gumbel: one word a slot, with the soft sample's gradient"},
    )
    teaforn_detach: bool = field(
        default=False,
        metadata={"help": "cut the gradient between steps (feedbacks hidden, topk and gumbel)"},
    )
    teaforn_labels: Optional[LABELS_CHOICES] = _option(  # noqa: UP045
        "aligned: every step predicts y_1..y_L; shifted: step i y_i..y_L", DEFAULTS["labels"]
    )
    teaforn_mix: Optional[str] = _option(  # noqa: UP045
        "share of slots of steps 2..N that take the feedback, from 0 to 1, the others keep their"
        " gold embedding; or a schedule, which may hold linear:K, exponential:K and"
        " inverse-sigmoid:K",
        DEFAULTS["mix"],
    )
    teaforn_sample_positions: Optional[float] = _option(  # noqa: UP045
        "share of the tokens of steps 2..N, drawn at random, that are projected onto the"
        " vocabulary, above 0, at most 1; they weigh as much as all",
        "1",
    )
    teaforn_every: Optional[int] = _option(  # noqa: UP045
        "run steps 2..N on every k-th update only, k times as heavy, k at least 1", "1"
    )
    teaforn_recompute: bool = field(
        default=False,
        metadata={
            "help": "keep the activations of the last step only and compute the others' again in"
            " the backward pass: memory that does not grow with N"
        },
    )
    teaforn_loss_impl: Optional[LOSS_CHOICES] = _option(  # noqa: UP045
        "fused: projection and loss by PyTorch's linear_cross_entropy, which keeps no logits;"
        " plain: by logits, and with one step stock fairseq's own code; auto: fused where torch"
        " has it",
        DEFAULTS["loss_impl"],
    )
