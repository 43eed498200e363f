"""Names of before, until the files that import them are changed: all are in ``commands`` now."""

from commands import Training
from forks import CONTEXT

__all__ = ["CONTEXT", "Training", "train"]


def train(data, save_dir, *options, log, **kwargs):
    """One fairseq-train from start to end."""
    return Training(data, save_dir, *options, log=log).finish(**kwargs)
