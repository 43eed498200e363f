"""The criterion's options on the command line."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.dataclass import ChoiceEnum

from teaforn_fairseq.feedbacks import FEEDBACKS
from teaforn_fairseq.unroll import LABELS

FEEDBACK_CHOICES = ChoiceEnum(sorted(FEEDBACKS))
LABELS_CHOICES = ChoiceEnum(list(LABELS))


# fairseq builds its parser from the annotations and does not understand "str | None".
@dataclass
class TeaForNCrossEntropyCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teaforn_n: str = field(
        default="2",
        metadata={
            "help": "number of unroll steps N, at least 1; 1 is teacher forcing; or a schedule over"
            " updates, as in 1@0,2@10000,3@20000"
        },
    )
    teaforn_discount: str = field(
        default="0.5",
        metadata={
            "help": "weight of step i is discount^(i-1), discount from 0 to 1; or a schedule"
        },
    )
    teaforn_weights: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "weights of the N steps one by one, comma-separated, not negative, not all"
            " zero; wins over --teaforn-discount",
        },
    )
    teaforn_feedback: FEEDBACK_CHOICES = field(
        default="hidden",
        metadata={"help": "what a step hands to the next: its hidden states, or embeddings"},
    )
    teaforn_topk: Optional[int] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "feedback topk: number of likeliest words, 0 for all of them (default: 4)"
        },
    )
    teaforn_temperature: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={"help": "feedback gumbel: temperature, above 0 (default: 1)"},
    )
    teaforn_hard: bool = field(
        default=False,
        metadata={"help": "feedback gumbel: one word a slot, with the soft sample's gradient"},
    )
    teaforn_detach: bool = field(
        default=False,
        metadata={"help": "cut the gradient between steps (feedbacks hidden, topk and gumbel)"},
    )
    teaforn_labels: LABELS_CHOICES = field(
        default="aligned",
        metadata={"help": "aligned: every step predicts y_1..y_L; shifted: step i y_i..y_L"},
    )
    teaforn_mix: str = field(
        default="1",
        metadata={
            "help": "share of slots of steps 2..N that take the feedback, from 0 to 1, the others"
            " keep their gold embedding; or a schedule, which may hold linear:K, exponential:K and"
            " inverse-sigmoid:K"
        },
    )
