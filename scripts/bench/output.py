"""Tables and files that the benchmarks write."""

import argparse
import json
import os
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
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(
            f"{flag}: must be a file in a folder that is there and can be written to; received"
            f" {path}."
        )


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write the whole file or leave what was there."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
