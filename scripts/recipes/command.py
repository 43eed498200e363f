"""The command line of scripts/recipe.sh."""

import os
from dataclasses import dataclass

from recipes import datasets, engine
from recipes.errors import Refused
from recipes.job import Job
from recipes.settings import Values

STAGES = list(engine.STAGES)
USAGE = f"""\
Usage: [SETTING=VALUE ...] scripts/recipe.sh [--dry-run] DATASET [STAGE ...] [-- FAIRSEQ-TRAIN OPTIONS]

Takes a data set from download to score. Safe to run again: what is complete is skipped, what was
interrupted goes on or starts over. --dry-run prints every command, to be pasted one after another,
and does nothing. Each stage tells the disk, memory and time it needs before it starts.

DATASET: {" ".join(datasets.NAMES)}
STAGE: {" ".join(STAGES)} (default: all, in this order)

With a DATASET, --help shows its settings.
"""  # noqa: E501  a line of its own
PYTHON = """\
  PYTHON=python3   Python 3.11, 3.12 or 3.13 for the virtual environment VENV=.venv;
                   VENV=none takes the active environment as it is
"""


@dataclass(frozen=True)
class Wish:
    """What the command line asks for: a data set ("": none), stages, options of fairseq-train."""

    name: str
    stages: list[str]
    options: tuple[str, ...]
    dry: bool
    help: bool


def main(words: list[str]) -> None:
    """Run a recipe.

    Args:
        words: of the command line.
    """
    with engine.ending():
        wish = parse(words)
        if wish.help and not wish.name:
            print(USAGE, end="")
            return
        entry = datasets.find(wish.name)
        values = engine.values_of(wish.name, entry, os.environ)
        if wish.help:
            print_settings(wish.name, values)
            return
        engine.check(wish.name, entry, values)
        shell = engine.shell_of(entry.extras, dry=wish.dry)
        engine.work(Job(wish.name, entry, values, shell, wish.options), wish.stages)


def parse(words: list[str]) -> Wish:
    """Read the command line.

    Raises:
        Refused: it is none.
    """
    end = words.index("--") if "--" in words else len(words)
    flags = {word for word in words[:end] if word.startswith("-")}
    for flag in sorted(flags - {"-h", "--help", "--dry-run"}):
        raise Refused(f"unknown option {flag}. Options of fairseq-train go behind --. See --help.")
    name, *stages = [word for word in words[:end] if word not in flags] or [""]
    wants_help = bool(flags & {"-h", "--help"})
    if name not in datasets.NAMES and (name or not wants_help):
        names = " ".join(datasets.NAMES)
        raise Refused(f"DATASET must be one of: {names}; received '{name}'. See --help.")
    for stage in stages:
        if stage not in STAGES:
            names = " ".join(STAGES)
            raise Refused(f"STAGE must be one of: {names}; received '{stage}'. See --help.")
    return Wish(name, stages or STAGES, tuple(words[end + 1 :]), "--dry-run" in flags, wants_help)


def print_settings(name: str, s: Values) -> None:
    """Usage with the settings of a data set."""
    print(USAGE)
    print(f"Settings of {name} (environment, with their present values):")
    for setting in s.settings.values():
        print(f"  {setting.name}={s[setting.name]}   {setting.help}")
    print(PYTHON, end="")
