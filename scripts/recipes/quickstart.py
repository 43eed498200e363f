"""The command line of scripts/quickstart.sh: the data set numerals with N = 1 and N = 2."""

import os
from pathlib import Path

from recipes import common, datasets, engine, prepare, results, train
from recipes.errors import Refused
from recipes.job import Job

NAME = "numerals"
USAGE = """\
Usage: scripts/quickstart.sh [FAIRSEQ-TRAIN OPTIONS]

Sets up a virtual environment, writes a corpus of numerals and dates (English to German), trains
teacher forcing and TeaForN (N = 2) from the same seed, generates with beams 1 and 4 and prints
sacreBLEU and training time. A few minutes on two CPU cores; a GPU is used when there is one.
Safe to run again: what is done is skipped, an interrupted training goes on.

Environment (defaults):
  OUT=runs/quickstart   where everything is written
  SEED=1                of the corpus and of both trainings
  VOCAB=400             joint subwords
  MAX_UPDATE=1000       updates of each training
  MAX_TOKENS=2000       tokens of a batch
  PYTHON=python3        Python 3.11 or 3.12 for the virtual environment
  VENV=.venv            the virtual environment; none: the active one as it is
Further arguments are passed on to both fairseq-train runs. Further settings: scripts/recipe.sh
numerals --help.
"""


def main(words: list[str]) -> None:
    """Run both trainings.

    Args:
        words: further options of fairseq-train.
    """
    with engine.ending():
        if words[:1] in (["-h"], ["--help"]):
            print(USAGE, end="")
            return
        if os.environ.get("N"):
            raise Refused(
                f"N={os.environ['N']}: the quickstart trains N=1 and N=2. Leave it out, or run"
                f" scripts/recipe.sh {NAME}."
            )
        entry = datasets.find(NAME)
        given = {**os.environ, "OUT": os.environ.get("OUT") or str(common.RUNS / "quickstart")}
        values = [engine.values_of(NAME, entry, {**given, "N": n}) for n in ("1", "2")]
        for s in values:
            engine.check(NAME, entry, s)
        shell = engine.shell_of(entry.extras, dry=False)
        run([Job(NAME, entry, s, shell, tuple(words)) for s in values])


def run(jobs: list[Job]) -> None:
    """Train, generate and score side by side, the baseline first."""
    names = ("teacher forcing", "TeaForN, N = 2")
    with engine.alone(jobs[0]):
        for job in jobs:
            for stage in (prepare.extract, prepare.clean, prepare.preprocess, train.train):
                stage(job)
            results.generate(job)
        runs: list[tuple[str, Path]] = [
            (name, job.run) for name, job in zip(names, jobs, strict=True)
        ]
        results.report(jobs[0], runs, jobs[0].out / "report.json", of="test sentences")
