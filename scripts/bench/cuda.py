"""Time and peak memory of steps on a GPU."""

import subprocess
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

CUDA = "cuda"
STEPS = 3
WARM_UPS = 3  # rounds: kernels are loaded and chosen, and memory is asked for, in the first


def require(device: str, dtype: str) -> None:
    """Stop unless the device is there and computes in numbers of this type.

    Raises:
        ValueError: it is not, or does not.
    """
    if device != CUDA:
        return
    if not torch.cuda.is_available():
        raise ValueError(
            "--device: cuda needs a GPU and a PyTorch that can use it; received cuda with torch"
            f" {torch.__version__}, which finds none. Choose cpu, or install a torch for CUDA."
        )
    capability = torch.cuda.get_device_capability()
    if dtype == "bfloat16" and capability < (8, 0):  # PyTorch only imitates it there
        raise ValueError(
            "--dtype: bfloat16 needs a GPU of compute capability 8.0 or more; received"
            f" {torch.cuda.get_device_name()} with {capability[0]}.{capability[1]}. Choose float16."
        )


def device_and_host(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds between device events around a run, and until the host had enqueued it.

    The device is idle at the start, as after each update of fairseq's, which waits for the norm of
    the gradient.
    """
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    before = perf_counter()
    run()
    host = perf_counter() - before
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000, host


def peak_above_now(step: Callable[[int], None], clear: Callable[[], None]) -> int:
    """Bytes that PyTorch gave some steps beyond what it had given out before.

    Args:
        step: takes the number of updates; one goes before, for what it leaves behind for ever.
        clear: frees all gradients.
    """
    step(0)
    clear()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    for update in range(STEPS):
        step(update)
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - held
    clear()
    return peak


def wait(device: str) -> None:
    """Until the device has done what it was given; on the CPU it has."""
    if device == CUDA:
        torch.cuda.synchronize()


def describe() -> dict[str, Any]:
    """The card, its memory, and the versions of driver and CUDA, in plain containers."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "gpu_mb": torch.cuda.get_device_properties(0).total_memory // 2**20,
        "driver": _driver(),
        "cuda": torch.version.cuda,
    }


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split("\n", 1)[0].strip() or None
