"""Run trainings at the same time, the output of each in its own file, and tell how far they are.

All stay in the process group of this one, so that whoever ends the group ends them. One that fails
ends the others, and the end of its log is shown. Standard library only.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from training_log import records

EVERY = 10.0  # seconds between two lines of progress
PATIENCE = 1.5  # seconds between asking and killing, less than the recipes have with this process
SHOWN = 20  # lines of the log of one that failed


@dataclass(frozen=True)
class Training:
    """A command that runs.

    Attributes:
        name: for people.
        log: what it prints.
        process: itself.
    """

    name: str
    log: Path
    process: subprocess.Popen

    def progress(self) -> str:
        """How far it is."""
        logged = records(self.log)
        return f"{self.name}: {logged[-1]['num_updates'] if logged else 0} updates"


def main() -> None:
    """Start all and wait for them."""
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    environment = dict(os.environ)
    if args.threads:
        name = "OMP_NUM_THREADS"
        environment[name] = environment.get(name) or str(args.threads)
    trainings = []
    try:
        for name, log, command in args.run:
            trainings.append(start(name, Path(log), shlex.split(command), environment))
        failed = watch(trainings)
    finally:
        end(trainings)
    if failed:
        sys.exit(tell(failed))


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--threads", type=int, help="of each, where OMP_NUM_THREADS is not set")
    parser.add_argument(
        "--run",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "LOG", "COMMAND"),
        help="a training, its command in one word; its output is added to the file",
    )
    return parser.parse_args()


def start(name: str, log: Path, words: list[str], environment: dict[str, str]) -> Training:
    """Start a command that prints to the end of its log."""
    with open(log, "ab") as out:
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Training(name, log, process)


def watch(trainings: list[Training]) -> Training | None:
    """Wait until all have ended or one has failed, which is returned."""
    began, told = time.monotonic(), 0.0
    while True:
        states = [training.process.poll() for training in trainings]
        failed = [x for x, state in zip(trainings, states, strict=True) if state]
        if failed:
            return failed[0]
        now = time.monotonic() - began
        if now - told >= EVERY or None not in states:
            told = now
            print(f"{now:5.0f} s  {'; '.join(x.progress() for x in trainings)}", flush=True)
        if None not in states:
            return None
        time.sleep(0.1)


def end(trainings: list[Training]) -> None:
    """End those that still run: ask, and kill what stays."""
    for training in trainings:
        training.process.terminate()
    until = time.monotonic() + PATIENCE
    while any(x.process.poll() is None for x in trainings) and time.monotonic() < until:
        time.sleep(0.02)
    for training in trainings:
        training.process.kill()
        training.process.wait()


def tell(failed: Training) -> int:
    """Show the end of a log; return the status to end with."""
    status = failed.process.returncode
    status = status if status > 0 else 128 - status
    lines = failed.log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:]
    print("\n".join(lines))
    print(f"{failed.name} ended with status {status}; above is the end of {failed.log}", flush=True)
    return status


if __name__ == "__main__":
    main()
