"""Training steps of several systems in one setup: times, counts, peak memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from bench import output, peak, shapes
from bench.counts import step_cost
from bench.models import (
    ARCH,
    TWIN,
    Batch,
    Step,
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
        memory_script: what answers ``--peak-of``; None to leave memory out.
        profiled: also profile a step of each.

    Raises:
        ValueError: peak memory could not be measured.
    """
    peaks = {}
    if memory_script:  # first, so that running out of memory loses no times
        names = [STOCK, *(system.name for system in systems)]
        peaks = {name: peak.measure(memory_script, setup.flags(), name) for name in names}
    batch, seconds, profiles = timed(setup, systems, rounds, profiled)
    return {
        "setup": shapes.as_json(setup),
        "rounds": rounds,
        "batch": {
            "sentences": batch.sentences,
            "source_tokens": batch.real.source,
            "source_padded": batch.padded.source,
            "target_tokens": batch.real.target,
            "target_padded": batch.padded.target,
        },
        "rows": [
            {
                "system": name,
                "n": system and system.n,
                **times(seconds[name], seconds[STOCK]),
                **counts(setup, batch, system),
                "peak_mb": peaks[name] / 2**20 if peaks else None,
                "peak_ratio": peaks[name] / peaks[STOCK] if peaks else None,
                "profile": profiles.get(name),
            }
            for name, system in zip(seconds, [None, *systems], strict=True)
        ],
    }


def times(seconds: list[float], stock: list[float]) -> dict[str, Any]:
    """Seconds by round, ratios to stock by round, and the ratios' percentiles."""
    paired = ratios(seconds, stock)
    return {"seconds": seconds, "ratios": paired, "ratio": percentiles(paired)}


def timed(
    setup: Setup, systems: list[System], rounds: int, profiled: bool
) -> tuple[Batch, dict[str, list[float]], dict[str, str]]:
    """The batch, seconds of each system's steps, and their profiles if wanted."""
    task = make_task(setup.shape.vocabulary)
    batch = make_batch(task, setup)
    twin = make_model(task, setup, TWIN)
    steps = {STOCK: stock_step(task, make_model(task, setup, ARCH), batch)}
    steps |= {system.name: twin_step(task, twin, batch, system) for system in systems}
    every = {STOCK: 1, **{system.name: system.every for system in systems}}
    runs = {name: updates(steps[name], every[name]) for name in steps}
    seconds = {
        name: [each / every[name] for each in values]
        for name, values in alternate(runs, rounds).items()
    }
    return batch, seconds, {name: profile_of(steps[name]) for name in steps if profiled}


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


def profile_of(step: Step) -> str:
    """PyTorch's table of where the time of one step goes, update 0."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step(0)
    return profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=20)


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
