"""What a measurement was made on."""

import logging
import os
import platform
import warnings
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from bench import cuda

FAIRSEQ = ("ve-fairseq", "fairseq-fixed", "fairseq")


def quieten() -> None:
    """Keep fairseq's log, and a warning about its own attention, out of the tables."""
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")


def describe(device: str = "cpu") -> dict[str, Any]:
    """Machine, with the card if it is that device, versions and date (UTC), in plain containers."""
    return {
        "machine": {
            **(cuda.describe() if device == cuda.CUDA else {}),
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fairseq": next(filter(None, map(_version, FAIRSEQ)), None),
            "teaforn_fairseq": _version("teaforn_fairseq"),
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def in_words(about: dict[str, Any]) -> str:
    """Two lines for people, and one before for a card."""
    machine, versions = about["machine"], about["versions"]
    card = ""
    if "gpu" in machine:
        card = f"{machine['gpu']}, {machine['gpu_mb']} MB, CUDA {machine['cuda']}"
        card += f", driver {machine['driver'] or 'unknown'}\n"
    named = ", ".join(f"{name} {value or 'not installed'}" for name, value in versions.items())
    return (
        f"{card}{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads,"
        f" {machine['system']}\n{named}, {about['date']}"
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        found = version(package)
    except PackageNotFoundError:
        return None
    return f"{found} ({package})" if package in FAIRSEQ else found
