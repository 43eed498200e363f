"""The command line of scripts/quickstart.sh: two tasks, each with teacher forcing and TeaForN."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import common, datasets, engine, results, together
from recipes.errors import Refused
from recipes.job import Job
from recipes.settings import Values
from recipes.shell import Shell

STAR, TEXT = "path_star", "numerals"
PREFIX = "PATH_STAR_"
EXTRAS = "demo"
SYSTEMS = {  # N by the name for people, the baseline first
    STAR: {"teacher forcing": "1", "TeaForN, N = 3": "3"},
    TEXT: {"teacher forcing": "1", "TeaForN, N = 2": "2"},
}
MACHINE = ("CHECK_DISK", "GPUS", "WORKERS")  # settings that hold for both
OF_STEPS = ("FEEDBACK", "WEIGHTS")  # that one step has no use for
STAGES = ("extract", "clean", "preprocess", "train", "generate", "score")
USAGE = f"""\
Usage: scripts/quickstart.sh [FAIRSEQ-TRAIN OPTIONS]

Sets up a virtual environment and trains teacher forcing and TeaForN, from the same seed, on two
tasks:

1. Path-star graphs, which teacher forcing does not learn: find the way through a graph of two arms.
   N = 3. Prints the share of whole paths right by greedy search beside that of a guess, and draws
   how each step learns in its turn: OUT/path_star/path-star.png.
2. Numerals and dates, English to German. N = 2. Generates with beams 1 and 4 and prints sacreBLEU.

A task's trainings run at the same time where there are two CPU cores for them; they print to
train.log in their folders.
Eight minutes on two cores; a GPU is used when there is one. Safe to run again: what is done is
skipped, an interrupted training goes on.

Environment (defaults):
  OUT=runs/quickstart   where everything is written
  SEED=1                of the corpus of numerals and of both trainings on it
  VOCAB=400             their joint subwords
  MAX_UPDATE=700        updates of each training on them
  MAX_TOKENS=2000       tokens of a batch of them
  PYTHON=python3        Python 3.11, 3.12 or 3.13 for the virtual environment
  VENV=.venv            the virtual environment; none: the active one as it is
Settings and further arguments, which fairseq-train gets, are those of the second task;
scripts/recipe.sh {TEXT} --help shows the others. With {PREFIX} in front, as in
{PREFIX}SEED=2, a setting is the first one's: scripts/recipe.sh {STAR} --help.
{", ".join(MACHINE[:-1])} and {MACHINE[-1]} hold for both.
"""


@dataclass(frozen=True)
class Task:
    """A data set with the settings of each system.

    Attributes:
        name: of the data set.
        values: by the system's name.
    """

    name: str
    values: Mapping[str, Values]

    def check(self) -> None:
        """Every mistake that can be seen before work.

        Raises:
            Refused: the first one.
        """
        for s in self.values.values():
            engine.check(self.name, datasets.find(self.name), s)

    def jobs(self, shell: Shell, options: tuple[str, ...] = ()) -> dict[str, Job]:
        """What there is to do, by the system's name."""
        entry = datasets.find(self.name)
        return {x: Job(self.name, entry, s, shell, options) for x, s in self.values.items()}


def main(words: list[str]) -> None:
    """Run both tasks.

    Args:
        words: further options of fairseq-train.
    """
    with engine.ending():
        if words[:1] in (["-h"], ["--help"]):
            print(USAGE, end="")
            return
        star, text = tasks(os.environ)
        for task in (star, text):
            task.check()
        shell = engine.shell_of(EXTRAS, dry=False)
        require_matplotlib(shell)
        show_paths(star.jobs(shell))
        show_text(text.jobs(shell, tuple(words)))


def tasks(environment: Mapping[str, str]) -> tuple[Task, Task]:
    """Path-star graphs and the text, with their settings from the environment.

    Raises:
        Refused: a setting is not the user's, or there is none of the name.
    """
    out = environment.get("OUT") or str(common.RUNS / "quickstart")
    known = {setting.name for setting in datasets.find(STAR).all_settings()}
    stars = {x: environment[x] for x in MACHINE if x in environment}
    for name, value in environment.items():
        if name.startswith(PREFIX) and value:
            setting = name.removeprefix(PREFIX)
            if setting not in known - {"OUT"}:
                raise Refused(
                    f"{name}={value}: the quickstart sets no {setting} of {STAR}. Leave it out, or"
                    f" see scripts/recipe.sh {STAR} --help."
                )
            stars[setting] = value
    return (
        _task(STAR, {**stars, "OUT": str(Path(out) / STAR)}, PREFIX),
        _task(TEXT, {**environment, "OUT": out}, ""),
    )


def _task(name: str, given: Mapping[str, str], prefix: str) -> Task:
    if given.get("N"):
        fixed = " and ".join(f"N={n}" for n in SYSTEMS[name].values())
        raise Refused(
            f"{prefix}N={given['N']}: the quickstart trains {fixed}. Leave it out, or run"
            f" scripts/recipe.sh {name}."
        )
    entry = datasets.find(name)
    one = {x: value for x, value in given.items() if x not in OF_STEPS}
    return Task(
        name,
        {
            x: engine.values_of(name, entry, {**(one if n == "1" else given), "N": n})
            for x, n in SYSTEMS[name].items()
        },
    )


def require_matplotlib(shell: Shell) -> None:
    """Stop before work if no picture can be drawn, as may be with VENV=none.

    Raises:
        Refused: so it is.
    """
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('matplotlib') is None)"
    if shell.read("python", "-c", code)[0]:
        raise Refused(
            "VENV=none: takes the active environment as it is, and that has no matplotlib. Install"
            f' the extra {EXTRAS} (pip install --constraint constraints.txt ".[{EXTRAS}]"), or'
            " leave VENV out."
        )


def show_paths(jobs: dict[str, Job]) -> None:
    """Path-star graphs: a table and a picture."""

    def score(first: Job) -> None:
        table(jobs, of="test graphs")
        first.shell.tell(
            "Whole paths right by greedy search, beside a guess. One training of each; README.md"
            " tells how many of ten seeds learn it."
        )
        picture = ("--out", first.out / "path-star.png", "--title", first.recipe.title)
        logs = [word for name, job in jobs.items() for word in ("--run", name, together.log(job))]
        first.shell.run("python", first.script("staircase.py"), *picture, *logs)

    run(jobs, score)


def show_text(jobs: dict[str, Job]) -> None:
    """Numerals and dates: a table."""
    run(jobs, lambda _: table(jobs, of="test sentences"))


def run(jobs: dict[str, Job], score: Callable[[Job], None]) -> None:
    """Train, generate and score side by side, the baseline first.

    Args:
        jobs: by the system's name.
        score: the last stage.
    """

    def generate(_: Job) -> None:
        for job in jobs.values():
            results.generate(job)

    def train(_: Job) -> None:
        together.train(jobs)

    of_all = {"train": train, "generate": generate, "score": score}
    engine.work(next(iter(jobs.values())), STAGES, {**engine.STAGES, **of_all})


def table(jobs: dict[str, Job], *, of: str) -> None:
    """The scores.

    Args:
        jobs: by the system's name.
        of: what is counted in the headline.
    """
    first = next(iter(jobs.values()))
    runs: list[tuple[str, Path]] = [(name, job.run) for name, job in jobs.items()]
    results.report(first, runs, first.out / "report.json", of=of)
