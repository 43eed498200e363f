"""Files that appear whole or not at all, and only where a file may be."""

import os
from pathlib import Path

from recipes.errors import Refused


def target(path: Path) -> Path:
    """Where a file is to be written: behind links, which stay.

    Raises:
        Refused: something else than a file is there.
    """
    behind = Path(os.path.realpath(path))
    if behind.exists() and not behind.is_file():
        raise Refused(f"{path}: must be a file or not be there; it is something else.")
    return behind


def partial(path: Path) -> Path:
    """The name under which it is written."""
    behind = target(path)
    return behind.with_name(f"{behind.name}.partial")


def write(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        Refused: it cannot be written.
    """
    try:
        partial(path).write_text(text, encoding="utf-8")
        os.replace(partial(path), target(path))
    except OSError as error:
        raise not_written(path) from error


def not_written(path: Path) -> Refused:
    """The error for a file that is not there afterwards."""
    return Refused(
        f"could not write {path}: the command above failed, or the disk is full. Run again: it"
        " starts over with this file."
    )
