"""Trainings at the same time: each prints to its own file, and a line tells how far they are."""

import os
from collections.abc import Mapping
from pathlib import Path

from recipes.job import Job
from recipes.shell import Word, quoted
from recipes.train import begin, begun, finishing

LOGGED = ("--log-format", "json", "--log-interval", "25")  # for training_log.py


def log(job: Job) -> Path:
    """What a training of :func:`train` has printed, over all resumptions."""
    return job.run / "train.log"


def train(jobs: Mapping[str, Job]) -> None:
    """The stage train of several, at the same time where each has a core of its own; with GPUs, or
    on too few cores, one after the other.

    Args:
        jobs: by the name for people; all have the same OUT and the same shell.

    Raises:
        Refused: one failed; the others have been ended.
    """
    on_cpus = all(job.s["GPUS"] == "0" for job in jobs.values())
    if on_cpus and cores() >= len(jobs):
        # As many threads where one goes on alone.
        _run(jobs, ["--threads", str(cores() // len(jobs))])
    else:
        for name, job in jobs.items():
            _run({name: job}, [])


def _run(jobs: Mapping[str, Job], how: list[str]) -> None:
    """Begin trainings and run them at the same time, by side_by_side.py."""
    commands = {name: command for name, job in jobs.items() if (command := begin(job))}
    if not commands:
        return
    running = [jobs[name] for name in commands]
    words: list[Word] = []
    for name, (program, *options) in commands.items():
        job = jobs[name]
        if not begun(job):
            log(job).unlink(missing_ok=True)  # of a training that saved nothing
        words += ["--run", name, log(job), quoted(program, *LOGGED, *options)]
    shell = running[0].shell
    shell.note(f"training {' and '.join(commands)}")
    for job in running:
        shell.tell(f"log: {log(job)}")
    with finishing(running):
        shell.run("python", running[0].script("side_by_side.py"), *how, *words)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
