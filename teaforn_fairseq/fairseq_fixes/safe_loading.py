"""Checkpoints are read by PyTorch's safe loader alone, which runs no code that a file brings along.

The safe loader accepts tensors, plain containers and allow-listed classes. fairseq stores the
model's options as an ``argparse.Namespace``: without it on the list, resuming and
``fairseq-generate`` fail on torch 2.6 and newer. Nothing else is allowed, so a checkpoint that
carries any other object is refused before its code could run.

Before torch 2.6 the safe loader is not ``torch.load``'s default, and fairseq does not ask for it.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils
from omegaconf import OmegaConf

FORCE_SAFE, FORCE_UNSAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def safely(load: Callable) -> Callable:
    """fairseq's loader of the file that is its first argument, with the safe loader in force.

    Raises:
        ValueError: from the result, if the file is refused, damaged or no checkpoint.
        OSError: from the result, if it cannot be read.
    """

    @wraps(load)
    def load_safely(path: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            with safe_loader():
                return load(path, *args, **kwargs)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a damaged or foreign file makes the loader raise anything
            raise refusal(path, error) from None

    return load_safely


def refusal(path: Any, error: Exception) -> ValueError:
    """What to tell the user whose file the safe loader did not take."""
    text = str(error).strip()
    foreign = re.search(r"GLOBAL:? ([\w.]+)", text)
    if foreign:
        reason = (
            f"it asks for {foreign[1]}, which could run a program. Nothing of it was run. Use a"
            " checkpoint that holds tensors and options alone, from a source that you trust."
        )
    else:
        first_line = text.partition("\n")[0]
        reason = (
            f"{type(error).__name__}: {first_line} The file may be damaged, or is no checkpoint."
            " Use another one."
        )
    return ValueError(
        f"{path}: must be a checkpoint written by fairseq-train; received a file that"
        f" PyTorch's safe loader refuses: {reason}"
    )


@contextmanager
def safe_loader() -> Iterator[None]:
    """Make ``torch.load`` safe by default, as it is since torch 2.6.

    PyTorch's own switch, because fairseq's calls take no argument for it. Whoever has set the
    opposite switch wants every file loaded, and is obeyed.
    """
    before = os.environ.get(FORCE_SAFE)
    if not os.environ.get(FORCE_UNSAFE):
        os.environ[FORCE_SAFE] = "1"
    try:
        yield
    finally:
        os.environ.pop(FORCE_SAFE, None)
        if before is not None:
            os.environ[FORCE_SAFE] = before


def between_ranks(broadcast: Callable) -> Callable:
    """fairseq's broadcast of what the first rank has read, in a form that the safe loader takes.

    fairseq replaces the tensors by placeholders of its own, and keeps the configuration in
    OmegaConf's classes. The other ranks read neither class from a file, only from the first rank.
    """
    allowed = [distributed_utils._TensorPlaceholder]

    @wraps(broadcast)
    def broadcast_plainly(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(obj, dict) and OmegaConf.is_config(obj.get("cfg")):
            obj = obj | {"cfg": OmegaConf.to_container(obj["cfg"])}
        if not hasattr(torch.serialization, "safe_globals"):  # torch 2.4
            return broadcast(obj, *args, **kwargs)
        with torch.serialization.safe_globals(allowed):
            return broadcast(obj, *args, **kwargs)

    return broadcast_plainly


def apply() -> None:
    """Have fairseq read checkpoints safely where it itself looks its loaders up.

    ``torch.load`` stays as it is for the rest of the process. --user-dir is imported before any
    checkpoint is read, in every rank.
    """
    torch.serialization.add_safe_globals([argparse.Namespace])
    for name in ("load_checkpoint_to_cpu", "load_ema_from_checkpoint"):
        setattr(checkpoint_utils, name, safely(getattr(checkpoint_utils, name)))
    distributed_utils.broadcast_object = between_ranks(distributed_utils.broadcast_object)
