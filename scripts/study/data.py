"""Binarised path-star graphs for the study, made once for each task."""

import shutil
import subprocess
import sys
from pathlib import Path

from recipes.common import PLUGIN

from study.cells import STARS, Cell

SYMBOL = "="  # behind a language model's prompt
SPLITS = ("train", "valid", "test")


def data_of(cell: Cell, work: Path) -> Path:
    """Where a cell's data is for fairseq-train: its graphs, format and family count."""
    sides = "lm" if cell.family == "transformer_lm" else "pairs"
    return work / "data" / f"{cell.stars}-{cell.form}" / sides


def prepare(cell: Cell, work: Path) -> None:
    """Write the corpus of a cell and binarise it, unless that has been done."""
    data = data_of(cell, work)
    raw, lines = data.with_name("raw"), data.with_name("lines")
    if not raw.is_dir():
        stars = STARS[cell.stars]
        sizes = ("--arms", stars.arms, "--length", stars.length, "--names", stars.names)
        script = Path(__file__).parents[1] / "path_star_corpus.py"
        make(raw, sys.executable, script, *sizes, "--format", cell.form, "--out")
    if data.is_dir():
        return
    if cell.family == "transformer_lm":
        join(raw, lines)
        text, sides = lines, ["--only-source"]
    else:
        text = raw
        sides = ["--source-lang", "graph", "--target-lang", "path", "--joined-dictionary"]
    prefixes = [word for x in SPLITS for word in (f"--{x}pref", text / x)]
    make(data, "fairseq-preprocess", "--user-dir", PLUGIN, *sides, *prefixes, "--destdir")


def make(folder: Path, *words: object) -> None:
    """Have a command make a folder, which is its last word, whole or not at all.

    Raises:
        ChildProcessError: it failed; the message has what it printed.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [str(word) for word in (*words, partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"{words[0]} failed: {done.stdout}{done.stderr}")
    partial.rename(folder)


def join(raw: Path, lines: Path) -> None:
    """A language model's text: graph, SYMBOL and path in a line."""
    lines.mkdir(exist_ok=True)
    for split in SPLITS:
        sides = [(raw / f"{split}.{x}").read_text(encoding="ascii") for x in ("graph", "path")]
        pairs = zip(*(side.splitlines() for side in sides), strict=True)
        text = "".join(f"{graph} {SYMBOL} {path}\n" for graph, path in pairs)
        (lines / split).write_text(text, encoding="ascii")
