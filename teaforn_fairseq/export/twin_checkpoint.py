"""What is exported of a twin's checkpoint, read and checked."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq.models import ARCH_MODEL_REGISTRY
from torch import Tensor

from teaforn_fairseq.decoders.base import UNSHARED_PREFIX
from teaforn_fairseq.fairseq_fixes.safe_loading import RULE, read_checkpoint
from teaforn_fairseq.fairseq_fixes.safe_options import make_harmless
from teaforn_fairseq.models.twins import PREFIX

# fp32 copies of the moving average come before those in the model's own precision.
EMA_ENTRIES = ("ema_fp32_params", "ema")
# fairseq's DynamicConv makes it of what the memory holds, NaN too, and LightConv never reads it.
UNREAD = ".conv.conv_bias"
# The sections of the options that the export looks into, and those whose name it looks up.
SECTIONS = ("model", "task", "criterion", "common", "bpe", "tokenizer")
NAMED = ("task", "criterion")


@dataclass(frozen=True)
class TwinCheckpoint:
    """What is exported of a checkpoint.

    Attributes:
        path: the file it was read from.
        arch: name of the stock architecture.
        cfg: fairseq's configuration, in plain containers.
        parameters: the stock model's state dict, extra decoders left out.
        unshared: whether there were extra decoders.
        has_ema: whether the file has a moving average of the parameters, taken or not.
        num_updates: updates it was trained for.
        optimizer: class name of its optimizer.
    """

    path: Path
    arch: str
    cfg: dict[str, Any]
    parameters: dict[str, Tensor]
    unshared: bool
    has_ema: bool
    num_updates: int
    optimizer: str


def read_twin(path: Path, *, ema: bool = False) -> TwinCheckpoint:
    """Read a checkpoint of a ``teaforn_*`` architecture.

    Args:
        path: a file written by fairseq-train. Its tensors stay on disk until they are used, so
            the optimizer's state, two thirds of the file, is never read.
        ema: take the exponential moving average that ``--store-ema`` keeps.

    Raises:
        ValueError: the file is not such a checkpoint, or has no moving average to take.
        OSError: it cannot be read.
    """
    state = read_checkpoint(path)
    cfg = _plain(state.get("cfg"))
    wrong = next(_unusable(state, cfg), None)
    if wrong:
        raise ValueError(f"{path}: {RULE} {wrong}.")
    arch = _stock_arch(path, cfg["model"])
    make_harmless(cfg, path)
    averages = [
        state["extra_state"][name] for name in EMA_ENTRIES if state["extra_state"].get(name)
    ]
    if ema and not averages:
        raise ValueError(
            f"--ema: needs checkpoints of a training with --store-ema; received {path}, which has"
            " no moving average. Leave --ema out."
        )
    parameters = averages[0] if ema else state["model"]
    _require_numbers(path, parameters)
    history = state["optimizer_history"][-1]
    return TwinCheckpoint(
        path=path,
        arch=arch,
        cfg=cfg,
        parameters={
            name: torch.zeros_like(tensor) if name.endswith(UNREAD) else tensor
            for name, tensor in parameters.items()
            if not name.startswith(UNSHARED_PREFIX)
        },
        unshared=any(name.startswith(UNSHARED_PREFIX) for name in parameters),
        has_ema=bool(averages),
        num_updates=history["num_updates"],
        optimizer=history["optimizer_name"],
    )


def _unusable(state: dict[str, Any], cfg: Any) -> Iterator[str]:
    """What the export reads of a checkpoint and would stumble over."""
    if not cfg:
        yield "a file without its entry cfg, as fairseq wrote it before 2021"
        return
    for name, section in cfg.items():
        if name in SECTIONS and not isinstance(section, dict | None if name != "model" else dict):
            yield f"a file whose entry cfg.{name} is of the type {type(section).__name__}"
        elif name in NAMED and not isinstance(called := (section or {}).get("_name"), str | None):
            yield f"a file whose entry cfg.{name} has the name {called}"
    if "model" not in cfg:
        yield "a file without its entry cfg.model"
    history = state.get("optimizer_history", [{}])[-1]
    for name, wanted in {"num_updates": int, "optimizer_name": str}.items():
        if not isinstance(history.get(name), wanted):
            yield f"a file whose entry optimizer_history has no {name}"


def _require_numbers(path: Path, parameters: Any) -> None:
    """Stop unless every parameter is a tensor of finite numbers."""
    if not isinstance(parameters, dict):
        raise ValueError(f"{path}: {RULE} parameters of the type {type(parameters).__name__}.")
    for name, tensor in parameters.items():
        dense = isinstance(tensor, Tensor) and tensor.layout is torch.strided
        if not isinstance(name, str) or not dense or tensor.is_quantized:
            kind = tensor.type() if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"{path}: {RULE} a parameter {name} of the type {kind}.")
        if not name.endswith(UNREAD) and not torch.isfinite(tensor).all():
            raise ValueError(
                f"{path}: every parameter must be finite; received infinite numbers or NaN in"
                f" {name}. Use a checkpoint from before they came up."
            )


def _stock_arch(path: Path, section: dict[str, Any]) -> str:
    arch = str(section.get("_name") or section.get("arch"))
    stock = arch.removeprefix(PREFIX)
    if stock == arch:
        raise ValueError(
            f"{path}: must be a checkpoint of a {PREFIX}* architecture; received architecture"
            f" {arch}."
        )
    if not {arch, stock} <= ARCH_MODEL_REGISTRY.keys():
        raise ValueError(
            f"{path}: must be a checkpoint of an architecture that this version of"
            f" teaforn_fairseq has; received architecture {arch}. Export it with the version that"
            " trained it."
        )
    return stock


def _plain(value: Any) -> Any:
    """Namespaces as dictionaries, at every depth."""
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
