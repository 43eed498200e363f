"""Tables and files that the benchmarks write."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Text in columns, the first aligned left."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in [heads, *rows]
    )


def add_json(group: argparse._ArgumentGroup) -> None:
    """Declare ``--json``."""
    group.add_argument("--json", type=Path, metavar="FILE", help="write all results here as well")


def require_folder(flag: str, path: Path | None) -> None:
    """Stop unless a file can be written at ``path``.

    Raises:
        ValueError: it is a folder, or its folder is not there or not to be written to.
    """
    if path is None:
        return
    writable = path if path.exists() and not path.is_file() else Path(os.path.realpath(path)).parent
    if path.is_dir() or not os.access(writable, os.W_OK):
        raise ValueError(
            f"{flag}: must be a file in a folder that is there and can be written to; received"
            f" {path}."
        )


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write the whole file or leave what was there; see :func:`write_whole`."""

    def write(to: Path) -> None:
        with open(to, "a", encoding="utf-8") as file:  # behind what went to the same pipe or file
            file.write(json.dumps(result, indent=2) + "\n")

    sys.stdout.flush()
    write_whole(path, write)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Make a file whole or leave what was there.

    A link is followed and stays; a device or a pipe, such as /dev/stdout, is written to as it is.

    Args:
        path: the file.
        write: writes to the path that it is given, whose suffix is that of ``path``.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists() and not path.is_file() or path.parts[:2] in (("/", "dev"), ("/", "proc")):
        write(path)
        return
    behind = Path(os.path.realpath(path))
    partial = behind.with_name(f".{behind.stem}.partial{behind.suffix}")
    partial.unlink(missing_ok=True)
    write(partial)
    os.replace(partial, behind)
