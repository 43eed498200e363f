"""Binarised path-star graphs for the study, made once for each task."""

import subprocess
import sys
from pathlib import Path

from recipes.common import PLUGIN

from study.cells import STARS, Cell

SYMBOL = "="  # behind a language model's prompt
SPLITS = ("train", "valid", "test")


def prepare(cell: Cell, folder: Path) -> Path:
    """The corpus of a cell and what fairseq-preprocess makes of it.

    Args:
        cell: its graphs, format and family count.
        folder: of all tasks.

    Returns:
        The folder for fairseq-train.
    """
    task = folder / f"{cell.stars}-{cell.form}"
    raw, lines = task / "raw", task / "lines"
    if not raw.is_dir():
        stars = STARS[cell.stars]
        sizes = ("--arms", stars.arms, "--length", stars.length, "--names", stars.names)
        script = Path(__file__).parents[1] / "path_star_corpus.py"
        run(sys.executable, script, *sizes, "--format", cell.form, "--out", raw)
    if cell.family == "transformer_lm":
        return binarise(task / "bin-lm", lines, ["--only-source"], make=lambda: join(raw, lines))
    sides = ["--source-lang", "graph", "--target-lang", "path", "--joined-dictionary"]
    return binarise(task / "bin", raw, sides)


def binarise(folder: Path, text: Path, sides: list[str], make=lambda: None) -> Path:
    """Run fairseq-preprocess unless it has been."""
    if not folder.is_dir():
        make()
        partial = folder.with_name(f"{folder.name}.partial")
        prefixes = [word for x in SPLITS for word in (f"--{x}pref", text / x)]
        run("fairseq-preprocess", "--user-dir", PLUGIN, *sides, *prefixes, "--destdir", partial)
        partial.rename(folder)
    return folder


def join(raw: Path, lines: Path) -> None:
    """A language model's text: graph, SYMBOL and path in a line."""
    lines.mkdir(exist_ok=True)
    for split in SPLITS:
        sides = [(raw / f"{split}.{x}").read_text(encoding="ascii") for x in ("graph", "path")]
        pairs = zip(*(side.splitlines() for side in sides), strict=True)
        text = "".join(f"{graph} {SYMBOL} {path}\n" for graph, path in pairs)
        (lines / split).write_text(text, encoding="ascii")


def run(*words: object) -> None:
    """A command that must succeed."""
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
