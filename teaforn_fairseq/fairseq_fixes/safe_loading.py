"""Checkpoints are read by PyTorch's safe loader alone, which runs no code that a file brings along.

The safe loader accepts tensors, plain containers and allow-listed classes. fairseq stores the
model's options as an ``argparse.Namespace``: without it on the list, resuming and
``fairseq-generate`` fail on torch 2.6 and newer. Nothing else is allowed, so a checkpoint that
carries any other object is refused before its code could run.

Before torch 2.6 the safe loader is not ``torch.load``'s default, and fairseq does not ask for it.
There it runs a TorchScript archive's programs, and unpacks a tar archive: both are refused.
"""

import argparse
import os
import re
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils
from omegaconf import OmegaConf

FORCE_UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
RULE = "must be a checkpoint written by fairseq-train; received"


def read_checkpoint(file: str | Path | BinaryIO, map_location: Any = "cpu") -> dict[str, Any]:
    """What a checkpoint file holds. Every checkpoint is read here, by fairseq's own loaders too.

    Args:
        file: its path, whose tensors stay on disk until they are used, or the open file, which is
            read as a whole.
        map_location: as ``torch.load`` takes it.

    Returns:
        A dictionary with ``model``, ``optimizer_history`` and ``extra_state``, or what very old
        checkpoints have in their place.

    Raises:
        ValueError: it cannot be read as PyTorch's file, or asks for a class that is not allowed,
            or holds something else than a checkpoint; the message says which.
        OSError: it is not there, or the system does not let it be read.
    """
    by_path = isinstance(file, str | Path)
    mapped = by_path and zipfile.is_zipfile(file)
    state = safely(torch.load)(file, map_location=map_location, mmap=mapped)
    _name_options(state)
    wrong = next(_foreign(state), None)
    if wrong:
        path = file if by_path else file.name
        raise ValueError(f"{path}: {RULE} {wrong}. Use another file.")
    return state


def safely(load: Callable) -> Callable:
    """``torch.load``, by the safe loader.

    Whoever has set PyTorch's switch for the unsafe loader wants every file loaded, and is obeyed.

    Raises:
        ValueError: from the result, if the file cannot be read or asks for a class that is not
            allowed.
        OSError: from the result, if it is not there, or the system does not let it be read.
    """

    @wraps(load)
    def load_safely(file: Any, *args: Any, **kwargs: Any) -> Any:
        unsafe = os.environ.get(FORCE_UNSAFE) in ("1", "y", "yes", "true")  # as PyTorch reads it
        path = file if isinstance(file, str | Path) else getattr(file, "name", file)
        if not unsafe:
            refuse_archives(path)
        try:
            return load(file, *args, **kwargs | {"weights_only": not unsafe})
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
        return ValueError(
            f"{path}: {RULE} a file that PyTorch's safe loader refuses: it asks for {foreign[1]},"
            " which could run a program. Nothing of it was run. Use a checkpoint that holds tensors"
            " and options alone, from a source that you trust."
        )
    reason = text.partition("\n")[0] or "it ends too early."
    return ValueError(
        f"{path}: {RULE} a file that cannot be read: {type(error).__name__}: {reason} It may be"
        " damaged, or of another kind. Copy it again, or use another one."
    )


def refuse_archives(path: Any) -> None:
    """Stop at a file that the safe loader hands on before torch 2.6.

    Args:
        path: any file. One that is damaged or not there, or no path, is left to the loader.

    Raises:
        ValueError: it is a TorchScript archive or a tar archive.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":  # then PyTorch's own reader, as torch.load asks it
                file.seek(0)
                scripted = "constants.pkl" in torch._C.PyTorchFileReader(file).get_all_records()
                kind = "a TorchScript archive" if scripted else None
            else:
                kind = "a tar archive" if tarfile.is_tarfile(path) else None
    except (OSError, RuntimeError, TypeError):
        return
    if kind:
        raise refusal(path, ValueError(f"it is {kind}, which could run or write anything."))


def _name_options(state: Any) -> None:
    """Make a Namespace of what teaforn-export writes in place of one, for BART."""
    args = state.get("args") if isinstance(state, dict) else None
    if isinstance(args, OrderedDict) and vars(args):
        state["args"] = argparse.Namespace()
        vars(state["args"]).update(vars(args))


def _foreign(state: Any) -> Iterator[str]:
    """In what the file is no checkpoint; what fairseq itself would stumble over."""
    if not isinstance(state, dict):
        yield f"a file that holds the type {type(state).__name__}"
        return
    # Before they had the entries in front, checkpoints had those behind.
    entries = {"model": "model", "optimizer_history": "best_loss", "extra_state": "epoch"}
    missing = [name for name, before in entries.items() if not {name, before} & state.keys()]
    if missing:
        yield f"a file without the entries {', '.join(missing)}"
    kinds = {
        "model": dict,
        "optimizer_history": list,
        "extra_state": dict,
        "cfg": Mapping | None,
        "args": argparse.Namespace | None,
    }
    for name, wanted in kinds.items():
        if name in state and not isinstance(state[name], wanted):
            yield f"a file whose entry {name} is of the type {type(state[name]).__name__}"
    history = state.get("optimizer_history", [{}])
    if not history or not isinstance(history[-1], dict):
        yield "a file whose entry optimizer_history names no optimizer"


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


class SafeTorch(ModuleType):
    """The name ``torch`` in a module of fairseq's: PyTorch, except for ``load``."""

    def __init__(self, load: Callable):
        super().__init__("torch")
        self.load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def apply() -> None:
    """Have fairseq read checkpoints safely, whoever has imported its loaders before.

    ``torch.load`` stays as it is for the rest of the process. --user-dir is imported before any
    checkpoint is read, in every rank.
    """
    torch.serialization.add_safe_globals([argparse.Namespace])
    checkpoint_utils.torch = SafeTorch(read_checkpoint)
    distributed_utils.broadcast_object = between_ranks(distributed_utils.broadcast_object)
