"""A twin's checkpoint as one of the stock architecture, which needs this plugin nowhere.

Stock fairseq on torch 2.6 and newer reads a checkpoint only if nothing but tensors and plain
containers is in it, and only if every name in its ``cfg`` is one that stock fairseq registers.
"""

import dataclasses
import zipfile
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterionConfig
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks.translation import TranslationConfig
from torch import Tensor

from teaforn_fairseq.fairseq_fixes.safe_loading import refusal
from teaforn_fairseq.fairseq_fixes.safe_options import make_harmless
from teaforn_fairseq.fairseq_fixes.side_doors import refuse_archives
from teaforn_fairseq.models.twins import PREFIX, UNSHARED_PREFIX

STOCK_CRITERION = "label_smoothed_cross_entropy"
STOCK_NAMES = {"teaforn_cross_entropy": STOCK_CRITERION, "teaforn_translation": "translation"}
STOCK_CONFIGS = {
    "criterion": LabelSmoothedCrossEntropyCriterionConfig,
    "task": TranslationConfig,
}
# Options without our prefix in their name: of the plugin itself, and of the teaforn_translation
# task.
OWN_OPTIONS = ("user_dir", "eval_bleu_beams", "eval_bleu_references")


@dataclass(frozen=True)
class TwinCheckpoint:
    """What is exported of a checkpoint.

    Attributes:
        path: the file it was read from.
        arch: name of the stock architecture.
        cfg: fairseq's configuration for the stock architecture, in plain containers.
        parameters: the stock model's state dict, extra decoders left out.
        num_updates: updates it was trained for.
        optimizer: class name of its optimizer.
    """

    path: Path
    arch: str
    cfg: dict[str, Any]
    parameters: dict[str, Tensor]
    num_updates: int
    optimizer: str


def read_twin(path: Path) -> TwinCheckpoint:
    """Read a checkpoint of a ``teaforn_*`` architecture.

    Args:
        path: a file written by fairseq-train. Its tensors stay on disk until they are used.

    Raises:
        ValueError: the file is not such a checkpoint.
    """
    state = _read(path)
    cfg = _plain(state.get("cfg")) if isinstance(state, dict) else None
    if not isinstance(cfg, dict) or not {"model", "optimizer_history"} <= state.keys():
        raise ValueError(
            f"{path}: must be a checkpoint written by fairseq-train; received a file without"
            " its entries cfg, model and optimizer_history."
        )
    arch = _stock_arch(path, cfg.get("model"))
    make_harmless(cfg, path)
    history = state["optimizer_history"][-1]
    return TwinCheckpoint(
        path=path,
        arch=arch,
        cfg=stock_cfg(cfg, arch),
        parameters={
            name: tensor
            for name, tensor in state["model"].items()
            if not name.startswith(UNSHARED_PREFIX)
        },
        num_updates=history["num_updates"],
        optimizer=history["optimizer_name"],
    )


def stock_cfg(cfg: dict[str, Any], arch: str) -> dict[str, Any]:
    """fairseq's configuration without anything that only this plugin knows.

    Args:
        cfg: a twin's configuration in plain containers.
        arch: name of the stock architecture.
    """
    stock = {name: _stock_section(section) for name, section in cfg.items()}
    stock["model"] |= {"_name": arch, "arch": arch}
    stock["common"] = {**stock.get("common", {}), "user_dir": None}
    for section, stock_config in STOCK_CONFIGS.items():
        name = (cfg.get(section) or {}).get("_name")
        if name in STOCK_NAMES:
            known = {"_name", *(field.name for field in dataclasses.fields(stock_config))}
            stock[section] = {k: v for k, v in stock[section].items() if k in known}
    return stock


def stock_state(checkpoint: TwinCheckpoint, parameters: dict[str, Tensor]) -> dict[str, Any]:
    """The checkpoint that stock fairseq generates with, trains on and fine-tunes from.

    Args:
        checkpoint: gives everything but the parameters.
        parameters: the stock model's state dict.

    Returns:
        What ``torch.save`` shall write. There is no optimizer state, and training that goes on
        from it starts its first epoch.
    """
    criterion = (checkpoint.cfg.get("criterion") or {}).get("_name", STOCK_CRITERION)
    criterion_class = CRITERION_REGISTRY.get(criterion, CRITERION_REGISTRY[STOCK_CRITERION])
    return {
        "args": None,
        "cfg": checkpoint.cfg,
        "model": parameters,
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": criterion_class.__name__,
                "optimizer_name": checkpoint.optimizer,
                "lr_scheduler_state": {},
                "num_updates": checkpoint.num_updates,
            }
        ],
        "task_state": {},
        "extra_state": {
            "train_iterator": {
                "version": 2,
                "epoch": 1,
                "iterations_in_epoch": 0,
                "shuffle": True,
            },
            "val_loss": None,
        },
    }


def _read(path: Path) -> Any:
    refuse_archives(path)
    try:
        # Mapped, so that the optimizer's state, two thirds of the file, is never read.
        return torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # a damaged or foreign file makes the loader raise anything
        raise refusal(path, error) from None


def _stock_arch(path: Path, model: Any) -> str:
    section = model if isinstance(model, dict) else {}
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
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _stock_section(section: Any) -> Any:
    if not isinstance(section, dict):
        return section
    return {
        key: STOCK_NAMES.get(value, value) if key in ("_name", "criterion", "task") else value
        for key, value in section.items()
        if not key.startswith(PREFIX) and key not in OWN_OPTIONS
    }
