"""Translating, scoring and testing, cell by cell. What has been done is kept and not repeated."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from teaforn_fairseq.beams.generated import (
    numbered,
    read_hypotheses,
    read_lines,
    sentences_per_second,
)
from teaforn_fairseq.beams.metrics import COLUMNS, scores_of
from teaforn_fairseq.beams.plan import Cell, Plan
from teaforn_fairseq.beams.statistics import TESTED, p_value
from teaforn_fairseq.files import put_whole

RECORD = "cell.json"
SHOWN = 20  # lines of what a command printed that failed
Made = Mapping[Path, dict[str, Any]]


def complete(plan: Plan, made: Made) -> list[str]:
    """Do what is missing of all cells, and tell of each.

    Args:
        plan: what has been asked for.
        made: what the cells of a checkpoint are made of, beside the beam.

    Returns:
        Why some failed.
    """
    failures, cells = [], plan.cells()
    for number, cell in enumerate(cells, 1):
        head = f"[{number}/{len(cells)}] {cell}:"
        try:
            done = record(cell) is not None
            if not done:
                generate(plan, cell, made)
            told = ", ".join(
                f"{x:.2f} {name.replace('_', ' ')}" for name, x in score(plan, cell).items()
            )
            print(f"{head} {'kept, ' if done else ''}{told}", flush=True)
        except (ValueError, OSError) as error:
            failures.append(f"{cell}, {cell.checkpoint}: {error}")
            print(f"{head} failed with {cell.checkpoint}: {error}", flush=True)
    for cell in cells:
        compare(plan, cell)
    return failures


def record(cell: Cell) -> dict[str, Any] | None:
    """What has been written of a cell; None: it has not been translated."""
    path = cell.folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def refuse_others(plan: Plan, made: Made) -> None:
    """Stop unless all cells that are there are made of what they would be made of now.

    Raises:
        ValueError: one is not.
    """
    for cell in plan.cells():
        then, now = record(cell), told(plan, cell, made)
        others = [name for name in now if then and then["made"].get(name) != now[name]]
        if others:
            raise ValueError(
                f"--out: {cell.folder} was made with another {', another '.join(others)} than it"
                " has now. Choose another folder, or remove this one."
            )


def told(plan: Plan, cell: Cell, made: Made) -> dict[str, Any]:
    """What decides the texts of a cell and their scores."""
    return {**made[cell.checkpoint], "command line": plan.generation(cell.beam)}


def generate(plan: Plan, cell: Cell, made: Made) -> None:
    """Translate with fairseq-generate, and write ``src``, ``hyp`` and ``ref``, whole or not at all.

    Raises:
        ValueError: it failed, or a sentence is missing.
        OSError: a file cannot be written.
    """
    partial = cell.folder.with_name(f"{cell.folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    printed, messages = partial / "printed", partial / "messages"
    words = [sys.executable, "-m", "fairseq_cli.generate", *plan.words(cell.checkpoint, cell.beam)]
    with open(printed, "wb") as out, open(messages, "wb") as err:
        status = subprocess.run(words, stdout=out, stderr=err, check=False).returncode
    log = "".join(path.read_text("utf-8", "replace") for path in (printed, messages))
    if status:
        end = "\n".join(log.splitlines()[-SHOWN:])
        raise ValueError(f"fairseq-generate ended with status {status}; its last lines:\n{end}")
    reference = read_lines(plan.reference)
    texts = {
        "src": sources(plan, printed),
        "hyp": read_hypotheses(printed, len(reference)),
        "ref": reference,
    }
    for name, lines in texts.items():
        put_whole(partial / name, "".join(f"{line}\n" for line in lines).encode())
    about = {"checkpoint": str(cell.checkpoint), "made": told(plan, cell, made)}
    about |= {"hypotheses_per_second": sentences_per_second(log), "scores": {}, "p": {}}
    keep(partial, about)
    printed.unlink()
    messages.unlink()
    partial.rename(cell.folder)


def sources(plan: Plan, printed: Path) -> list[str]:
    """The source side: raw text, or what fairseq-generate has printed of it.

    Raises:
        ValueError: there is neither.
    """
    if plan.source is not None:
        return read_lines(plan.source)
    found = numbered(printed, "S")
    if not found:
        raise ValueError("fairseq-generate told no sources. Give them with --source.")
    return [found[number] for number in sorted(found)]


def score(plan: Plan, cell: Cell) -> dict[str, float]:
    """The scores that have been asked for, of which those that are missing are computed.

    Returns:
        ``hypotheses_per_second`` too.
    """
    about = record(cell)
    assert about is not None
    scores = about["scores"]
    missing = [name for name in plan.metrics if COLUMNS[name][0] not in scores]
    for name in missing:
        scores |= scores_of(name, *texts_of(cell))
    if missing:
        keep(cell.folder, about)
    columns = [x for name in plan.metrics for x in COLUMNS[name]]
    speed = {"hypotheses_per_second": about["hypotheses_per_second"]}
    return {column: scores[column] for column in columns} | speed


def compare(plan: Plan, cell: Cell) -> None:
    """p of a cell's difference to the baseline's of the same seed and beam, unless it is kept."""
    about, key = record(cell), against(plan, cell)
    if about is None or key is None:
        return
    found = about["p"].setdefault(key, {})
    missing = [name for name in plan.metrics if name in TESTED and name not in found]
    if not missing:
        return
    hypotheses, reference = texts_of(cell)
    for name in missing:
        found[name] = p_value(name, texts_of(baseline(plan, cell))[0], hypotheses, reference)
    keep(cell.folder, about)
    p = ", ".join(f"{name} p = {found[name]:.4f}" for name in missing)
    print(f"{cell} against {plan.baseline}: {p}", flush=True)


def against(plan: Plan, cell: Cell) -> str | None:
    """By what a cell's record keeps p: the baseline's label and its checkpoint's digest.

    Returns:
        None for the baseline itself, and where it has not been translated.
    """
    base = None if cell.label == plan.baseline else record(baseline(plan, cell))
    return f"{plan.baseline} {base['made']['checkpoint']}" if base else None


def baseline(plan: Plan, cell: Cell) -> Cell:
    """The baseline's of the same seed and beam."""
    place = (plan.baseline, cell.seed, cell.beam)
    return Cell(*place, plan.systems[plan.baseline][cell.seed - 1], plan.folder(*place))


def texts_of(cell: Cell) -> tuple[list[str], list[str]]:
    """Hypotheses and references of a cell."""
    return read_lines(cell.folder / "hyp"), read_lines(cell.folder / "ref")


def keep(folder: Path, about: dict[str, Any]) -> None:
    """Write a cell's record."""
    put_whole(folder / RECORD, f"{json.dumps(about, indent=1)}\n".encode())
