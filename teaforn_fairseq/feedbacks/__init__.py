"""Feedback f: what one unroll step hands to the next (method.md, "Feedback").

One file a feedback; importing it here registers it and makes it a choice of
``--teaforn-feedback``.
"""

from teaforn_fairseq.feedbacks import argmax, gumbel, hidden, sample, topk  # noqa: F401
from teaforn_fairseq.feedbacks.base import FEEDBACKS, Feedback, build_feedback

__all__ = ["FEEDBACKS", "Feedback", "build_feedback"]
