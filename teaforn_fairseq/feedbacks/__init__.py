"""Feedback f: what one unroll step hands to the next (method.md, "Feedback").

One file a feedback: every file of this folder is imported here, which registers its feedback and
makes it a choice of ``--teaforn-feedback``.
"""

from importlib import import_module
from pkgutil import iter_modules

from teaforn_fairseq.feedbacks.base import FEEDBACKS, Feedback, build_feedback

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")

__all__ = ["FEEDBACKS", "Feedback", "build_feedback"]
