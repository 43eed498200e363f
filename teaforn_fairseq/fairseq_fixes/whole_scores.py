"""Scoring a text takes every label of it, and none of a padding symbol inside a sentence.

``fairseq-eval-lm`` and ``fairseq-generate --score-reference``: stock fairseq leaves padding out of
the labels, but takes as many scores as labels are left from a sentence's first slots. A literal
padding symbol inside of it is scored, and the last labels are not.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq.sequence_scorer import SequenceScorer

Hypotheses = list[list[dict[str, Any]]]


def label_by_label(generate: Callable) -> Callable:
    """fairseq's scoring of a batch (B, T), in which each score is that of its label.

    B lists of one hypothesis come out, whose ``tokens`` and ``positional_scores`` are (labels,).
    """

    @wraps(generate)
    def score(scorer: SequenceScorer, models: Any, sample: dict, **kwargs: Any) -> Hypotheses:
        padded = sample["target"].eq(scorer.pad)
        # With an end of sentence in place of padding all slots of a row are scored.
        filled = sample | {"target": sample["target"].masked_fill(padded, scorer.eos)}
        scored = generate(scorer, models, filled, **kwargs)
        for (hypothesis,), row in zip(scored, padded.logical_not(), strict=True):
            real = row[len(row) - len(hypothesis["tokens"]) :]  # what is before is context
            scores = hypothesis["positional_scores"][real]
            hypothesis["tokens"] = hypothesis["tokens"][real]
            hypothesis["positional_scores"] = scores
            hypothesis["score"] = scores.sum() / len(scores)
        return scored

    return score


def apply() -> None:
    """In the scorer that the tasks make."""
    SequenceScorer.generate = label_by_label(SequenceScorer.generate)
