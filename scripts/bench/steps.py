"""Training steps of several systems in one setup: times, counts, peak memory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from bench import cuda, output, peak, shapes
from bench.counts import step_cost
from bench.models import (
    ARCH,
    TWIN,
    Batch,
    Step,
    clear,
    make_batch,
    make_model,
    make_task,
    stock_step,
    twin_step,
)
from bench.shapes import Setup, Shape
from bench.systems import STOCK, System, parse_system
from bench.timing import alternate, percentiles, ratios

HEADS = ["system", "20 %", "median", "80 %", "counted", "packed", "seconds", "peak MB", "peak"]
SMALL = Shape(1, 1, 16, 32, 2, 50)


@dataclass(frozen=True)
class Measured:
    """What was measured of the systems, by their names.

    Attributes:
        batch: what the steps ran on.
        seconds: of a step, by round.
        host_seconds: until the host had enqueued it; on a GPU only.
        peaks: bytes above the built model; on a GPU only, if wanted.
        profiles: PyTorch's tables, if wanted.
    """

    batch: Batch
    seconds: dict[str, list[float]]
    host_seconds: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)


def measure(
    setup: Setup,
    systems: list[System],
    rounds: int,
    *,
    memory_script: Path | None = None,
    profiled: bool = False,
) -> dict[str, Any]:
    """All that is told about the systems in one setup, stock first, in plain containers.

    Args:
        setup: sizes of model and batch.
        systems: each with a name of its own.
        rounds: that count, at least 1.
        memory_script: what answers ``--peak-of``, on the CPU; None to leave memory out.
        profiled: also profile a step of each.

    Raises:
        ValueError: peak memory could not be measured.
    """
    peaks = {}
    # First, so that running out of memory loses no times.
    if memory_script and setup.device != cuda.CUDA:
        names = [STOCK, *(system.name for system in systems)]
        peaks = {name: peak.measure(memory_script, setup.flags(), name) for name in names}
    measured = timed(setup, systems, rounds, memory=bool(memory_script), profiled=profiled)
    batch, seconds, peaks = measured.batch, measured.seconds, peaks or measured.peaks
    return {
        "setup": shapes.as_json(setup),
        "rounds": rounds,
        "batch": sizes(batch),
        "rows": [
            {
                "system": name,
                "n": system and system.n,
                **times(seconds[name], seconds[STOCK]),
                "host_seconds": measured.host_seconds.get(name),
                **counts(setup, batch, system),
                "peak_mb": peaks[name] / 2**20 if peaks else None,
                "peak_ratio": peaks[name] / peaks[STOCK] if peaks else None,
                "profile": measured.profiles.get(name),
            }
            for name, system in zip(seconds, [None, *systems], strict=True)
        ],
    }


def sizes(batch: Batch) -> dict[str, int]:
    """Sentences and tokens of a batch."""
    return {
        "sentences": batch.sentences,
        "source_tokens": batch.real.source,
        "source_padded": batch.padded.source,
        "target_tokens": batch.real.target,
        "target_padded": batch.padded.target,
    }


def times(seconds: list[float], stock: list[float]) -> dict[str, Any]:
    """Seconds by round, ratios to stock by round, and the ratios' percentiles."""
    paired = ratios(seconds, stock)
    return {"seconds": seconds, "ratios": paired, "ratio": percentiles(paired)}


def timed(
    setup: Setup, systems: list[System], rounds: int, *, memory: bool, profiled: bool
) -> Measured:
    """Times of the systems' steps, profiles if wanted, and on a GPU their memory if wanted."""
    task = make_task(setup.shape.vocabulary)
    batch = make_batch(task, setup)
    stock, twin = (make_model(task, setup, arch) for arch in (ARCH, TWIN))
    steps = {STOCK: stock_step(task, stock, batch)}
    steps |= {system.name: twin_step(task, twin, batch, system) for system in systems}
    every = {STOCK: 1, **{system.name: system.every for system in systems}}
    runs = {name: updates(steps[name], every[name]) for name in steps}

    def profiles() -> dict[str, str]:
        return {name: profile_of(steps[name], setup.device) for name in steps if profiled}

    def each(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
        return {name: [x / every[name] for x in values] for name, values in seconds.items()}

    if setup.device != cuda.CUDA:
        return Measured(batch, each(alternate(runs, rounds)), profiles=profiles())

    def clear_both() -> None:
        clear(stock)
        clear(twin)

    wanted = steps if memory else {}
    peaks = {name: cuda.peak_above_now(step, clear_both) for name, step in wanted.items()}
    told = alternate(runs, rounds, timer=cuda.device_and_host, warm_ups=cuda.WARM_UPS)
    device, host = (each({k: [x[i] for x in v] for k, v in told.items()}) for i in (0, 1))
    return Measured(batch, device, host, peaks, profiles())


def updates(step: Step, every: int) -> Callable[[], None]:
    """Updates 0 to ``every`` - 1, one of which looks ahead."""

    def run() -> None:
        for update in range(every):
            step(update)

    return run


def counts(setup: Setup, batch: Batch, system: System | None) -> dict[str, float]:
    """Multiply-adds on padded tokens; over stock's, and with the twin's on real tokens alone."""
    stock = step_cost(setup.shape, batch.padded)
    ours = step_cost(setup.shape, batch.padded, system)
    packed = step_cost(setup.shape, batch.real, system) if system else stock
    return {"multiply_adds": ours, "counted": ours / stock, "packed": packed / stock}


def profile_of(step: Step, device: str) -> str:
    """PyTorch's table of where the time of one step goes, update 0."""
    activities = [ProfilerActivity.CPU]
    if device == cuda.CUDA:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        step(0)
        cuda.wait(device)
    return profiler.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=20)


def peak_of(setup: Setup, name: str) -> int:
    """Bytes above the built model, in this process."""
    # PyTorch loads code at a first step, tens of MB that a small model's step takes on itself.
    one_step(replace(setup, shape=SMALL), name)(0)
    return peak.peak_above_now(one_step(setup, name))


def one_step(setup: Setup, name: str) -> Step:
    """The step of one system, with a model and batch of its own."""
    task = make_task(setup.shape.vocabulary)
    batch = make_batch(task, setup)
    if name == STOCK:
        return stock_step(task, make_model(task, setup, ARCH), batch)
    return twin_step(task, make_model(task, setup, TWIN), batch, parse_system(name))


def in_words(run: dict[str, Any]) -> str:
    """A run's table under a line about its setup, profiles below."""
    setup, batch = run["setup"], run["batch"]
    about = {**setup["shape"], **{k: v for k, v in setup.items() if k != "shape"}}
    lines = [
        "",
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()),
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in batch.items()),
        output.table(HEADS, [cells(row) for row in run["rows"]]),
        *(f"\n{row['system']}\n{row['profile']}" for row in run["rows"] if row["profile"]),
    ]
    return "\n".join(lines)


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    ratio = row["ratio"]
    peaks = ["-", "-"]
    if row["peak_mb"] is not None:
        peaks = [f"{row['peak_mb']:.0f}", f"{row['peak_ratio']:.2f}"]
    return [
        row["system"],
        *(f"{x:.2f}" for x in (ratio["p20"], ratio["median"], ratio["p80"])),
        *(f"{row[x]:.2f}" for x in ("counted", "packed")),
        f"{percentiles(row['seconds'])['median']:.3f}",
        *peaks,
    ]
