"""A record beside each result of all that it depends on; see facts.py. A record counts only while
its result is there."""

import json
from dataclasses import dataclass
from pathlib import Path

from recipes import files
from recipes.errors import Refused
from recipes.facts import Facts, clean_options, differences, facts, flag_differences, flags
from recipes.job import Job


@dataclass(frozen=True)
class Result:
    """What a stage makes.

    Attributes:
        stage: that makes it.
        path: what is there when it is.
        record: its settings.
        whole: what to remove to be rid of it.
    """

    stage: str
    path: Path
    record: Path
    whole: Path


def result(job: Job, stage: str, beam: str = "") -> Result:
    """The result of a stage; for generate that of one beam."""
    out, run = job.out, job.run
    if stage in ("extract", "clean"):
        path = out / {"extract": "raw", "clean": "clean"}[stage]
        return Result(stage, path, path.with_name(f"{path.name}.settings"), path)
    if stage == "preprocess":
        return Result(stage, out / "data/bin", out / "data/settings", out / "data")
    if stage == "train":
        return Result(stage, run, run / "settings", run)
    path = job.checkpoint if stage == "average" else job.beam(beam)
    return Result(stage, path, path.with_suffix(".settings"), path)


def write(job: Job, made: Result) -> None:
    """Record the present settings."""
    if not job.shell.dry:
        files.write(made.record, json.dumps(facts(job, made.stage), indent=1) + "\n")


def read(path: Path) -> Facts | str | None:
    """A record; the line that the scripts in bash wrote; or None.

    Raises:
        Refused: it is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
        return json.loads(text) if text.startswith("{") else text
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Refused(f"{path}: is no record of settings ({error}). Remove it.") from error


def check(job: Job, made: Result) -> None:
    """Hold a result that is there, and not to be made again, against the present settings.

    One without a record is taken as made with them: it comes from a printed dry run, from another
    machine, or from the scripts before these.

    Raises:
        Refused: other settings made it.
    """
    then = read(made.record)
    if isinstance(then, dict):
        refuse(made, differences(job, then, facts(job, made.stage)))
        return
    if then is not None:
        refuse(made, _legacy_differences(job, made.stage, then))
    job.shell.tell(
        f"note: {made.whole} has no full record of its settings. What is not recorded is taken to"
        " be as now."
    )
    write(job, made)


def current(job: Job, made: Result) -> bool:
    """Whether a result need not be made again: it is there and its training has not gone on since.

    Raises:
        Refused: other settings made it.
    """
    then = read(made.record) if job.there(made.path) else None
    if not isinstance(then, dict):
        return False
    now = facts(job, made.stage)
    longer = {**then, "MAX_UPDATE": now["MAX_UPDATE"]}
    refuse(made, differences(job, longer, now))
    return then["MAX_UPDATE"] == now["MAX_UPDATE"]


def refuse(made: Result, different: list[str]) -> None:
    """Stop where something differs.

    Raises:
        Refused: it does.
    """
    if different:
        kind = "folder" if made.whole.is_dir() else "file"
        raise Refused(
            f"{made.whole} holds results of other settings. {'; '.join(different)}. Choose another"
            f" OUT, or remove that {kind}."
        )


# What the scripts in bash recorded of a training beyond what decides its result, or not at all.
MACHINE = ("--max-tokens", "--distributed-world-size", "--finetune-from-model")
MACHINE += ("--skip-invalid-size-inputs-valid-test",)


def _legacy_differences(job: Job, stage: str, then: str) -> list[str]:
    """The same for the line of text that the scripts in bash wrote."""
    s, recipe = job.s, job.recipe
    if stage == "clean":
        return flag_differences(flags(then), flags(" ".join(clean_options(job))))
    if stage == "train":
        command, _, batch = then.partition(", effective batch ")
        old, new = flags(command), flags(" ".join(job.train_options()))
        old["BATCH"], new["BATCH"] = batch or old.get("--max-tokens", ""), s["BATCH"]
        for found in (old, new):
            found.setdefault("--teaforn-discount", "0.5")
            for flag in MACHINE:
                found.pop(flag, None)
        return flag_differences(old, new)
    now = f"{recipe.source}-{recipe.target}, {s.get('VOCAB', '')} subwords"
    now = now if stage == "preprocess" else f"seed {s['SEED']}"
    return [] if then == now else [f"{then} then, {now} now"]
