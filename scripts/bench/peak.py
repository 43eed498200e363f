"""Peak memory of training steps, each system in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

RESET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
STEPS = 3


def available() -> bool:
    """Whether this system tells a process's peak and lets it be reset: Linux does."""
    return STATUS.is_file() and os.access(RESET, os.W_OK)


def peak_above_now(step: Callable[[int], None]) -> int:
    """Bytes that some steps took beyond what the process holds already.

    Args:
        step: takes the number of updates.

    Raises:
        OSError: there is no ``/proc``, or the peak may not be reset.
    """
    RESET.write_text("5", encoding="ascii")  # proc(5): VmHWM becomes what is held now
    held = _status("VmRSS")
    for update in range(STEPS):
        step(update)
    return _status("VmHWM") - held


def measure(script: Path, flags: list[str], system: str) -> int:
    """Run the script with ``--peak-of`` and read the bytes that it prints.

    Raises:
        ValueError: the process failed, out of memory perhaps, or the step is too small.
    """
    command = [sys.executable, str(script), *flags, "--peak-of", system]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ValueError(
            f"--memory: the process that measures {system} ended with {done.returncode}. Leave"
            " memory out with --no-memory, or choose smaller sizes."
        )
    peak = json.loads(done.stdout.splitlines()[-1])["peak_bytes"]
    if peak <= 0:  # it fitted into what the process had used and freed before
        raise ValueError(
            f"--memory: a step of {system} takes too little to be measured beside what the process"
            " held before. Choose larger sizes, or leave memory out with --no-memory."
        )
    return peak


def _status(name: str) -> int:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
