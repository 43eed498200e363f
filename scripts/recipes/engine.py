"""Stages one after the other: settings before work, disk before a stage, one process a folder."""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from recipes import common, datasets, environment, prepare, results, train
from recipes.dataset import DataSet, Needs, choices
from recipes.errors import Failed, Refused, Stopped
from recipes.job import Job
from recipes.lock import locked
from recipes.processes import Processes
from recipes.settings import Values
from recipes.shell import Shell

STAGES: Mapping[str, Callable[[Job], None]] = {
    "download": prepare.download,
    "extract": prepare.extract,
    "clean": prepare.clean,
    "preprocess": prepare.preprocess,
    "train": train.train,
    "average": results.average,
    "generate": results.generate,
    "score": results.score,
}


def values_of(name: str, entry: DataSet, given: Mapping[str, str]) -> Values:
    """The settings of a data set, not yet checked."""
    defaults = {"OUT": str(common.RUNS / name), **entry.defaults}
    return Values(entry.all_settings(), defaults, given)


def check(name: str, entry: DataSet, s: Values) -> None:
    """Every mistake that can be seen before work.

    Raises:
        Refused: the first one.
    """
    _check_foreign(name, s)
    common.check(s)
    entry.check(s)


def _check_foreign(name: str, s: Values) -> None:
    """Refuse a setting that this data set does not read and another one does."""
    others = {x: {y.name: y for y in datasets.find(x).all_settings()} for x in datasets.NAMES}
    for setting in sorted({name for known in others.values() for name in known}):
        if setting in s.settings or not s.given(setting):
            continue
        where = (
            f"{x} ({choices(known[setting])})" if choices(known[setting]) else x
            for x, known in others.items()
            if setting in known
        )
        raise Refused(
            f"{setting}={s.environment[setting]}: {name} has no {setting}; these have:"
            f" {', '.join(where)}. Leave it out, or see scripts/recipe.sh {name} --help."
        )


def tell_needs(job: Job, stage: str) -> None:
    """Disk, memory and time of a stage.

    Raises:
        Refused: the disk is too small. What the stage wrote before counts twice in this; a stage
            that is done needs nothing.
    """
    needs = job.entry.needs.get(stage, Needs(0, 1, "a minute"))
    job.shell.note(
        f"{stage}: needs up to {needs.disk:g} GB of disk, {needs.memory:g} GB of memory,"
        f" {needs.time}"
    )
    if job.shell.dry or not job.s.on("CHECK_DISK"):
        return
    folder = job.out.absolute()
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if free < needs.disk and not _complete(job, stage):
        raise Refused(
            f"OUT={job.out}: the stage {stage} needs {needs.disk:g} GB of disk; free are"
            f" {free:.1f} GB. Free some, choose another OUT, or set CHECK_DISK=0 to go on all the"
            " same."
        )


def _complete(job: Job, stage: str) -> bool:
    raw = (job.out / "raw").is_dir() and (job.out / job.recipe.bart).exists()
    done = {
        "download": raw,
        "extract": raw,
        "clean": (job.out / "clean").is_dir(),
        "preprocess": (job.out / "data/bin").is_dir(),
        "train": train.trained(job) == job.s.whole("MAX_UPDATE"),
    }
    return done.get(stage, False)


def work(
    job: Job, stages: Sequence[str], how: Mapping[str, Callable[[Job], None]] = STAGES
) -> None:
    """Run stages in their order, alone in OUT; ``how`` says what each of STAGES does."""
    with ExitStack() as stack:
        for number, stage in enumerate(x for x in STAGES if x in stages):
            tell_needs(job, stage)
            if number == 0 and not job.shell.dry:  # not before the first look at the disk
                stack.enter_context(alone(job))
            how[stage](job)


@contextmanager
def alone(job: Job) -> Iterator[None]:
    """Keep other recipes out of OUT until this one and all that it started have ended."""
    with locked("OUT", job.out) as lock, job.shell.processes.guarded(lock):
        yield


def shell_of(extras: str, *, dry: bool) -> Shell:
    """A shell in the virtual environment, which is made."""
    processes = Processes(environment.variables())
    shell = Shell(processes, dry=dry)
    if dry:
        _print_environment(shell, extras)
    else:
        processes.catch_signals()
        environment.make(extras)
    return shell


def _print_environment(shell: Shell, extras: str) -> None:
    if environment.VENV != "none":
        shell.tell("a virtual environment with the tested set, if it is not there:")
        for command in environment.commands(extras):
            shell.print(*command)
        print(f"export PATH={shlex.quote(environment.VENV)}/bin:$PATH")
    print(f"export PYTHONPATH={shlex.quote(str(common.ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}")


@contextmanager
def ending() -> Iterator[None]:
    """Turn what ends a recipe into a line for people and an exit status."""
    try:
        yield
    except Refused as error:
        _exit(1, str(error))
    except Failed as error:
        _exit(error.status if error.status > 0 else 128 - error.status)
    except OSError as error:
        _exit(1, str(error))
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        print(f"error: stopped by {name}. Run again to go on.", file=sys.stderr, flush=True)
        signal.signal(stopped.number, signal.SIG_DFL)
        os.kill(os.getpid(), stopped.number)


def _exit(status: int, text: str = "") -> None:
    if text:
        print(f"error: {text}", file=sys.stderr, flush=True)
    sys.exit(status)
