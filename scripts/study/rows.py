"""Tables on disk, which grow a line at a time, and their summaries."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.output import write_whole


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a table; none where it is not there."""
    if not path.exists():
        return []
    with open(path, encoding="ascii", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def append(path: Path, names: list[str], rows: Iterable[list[Any]]) -> None:
    """Add rows to a table, which begins with the names."""
    new = not path.exists()
    with open(path, "a", encoding="ascii", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([names] if new else [])
        writer.writerows(rows)


def write_summary(folder: Path, rows: list[dict[str, Any]], **about: Any) -> None:
    """summary.tsv and summary.json.

    Args:
        folder: where.
        rows: with the same names; none write nothing.
        about: what the JSON says of all rows, which then are its ``rows``.
    """

    def write(path: Path) -> None:
        append(path, list(rows[0]), [list(row.values()) for row in rows])

    if rows:
        write_whole(folder / "summary.tsv", write)
        text = json.dumps({**about, "rows": rows} if about else rows, indent=1) + "\n"
        write_whole(folder / "summary.json", lambda path: path.write_text(text))


def refuse_mixing(folder: Path, table: str, what: str) -> None:
    """Where a table has runs that were told something else.

    Args:
        folder: of the results.
        table: its file, or several, as words.
        what: of which.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"--results: {folder} holds runs of {what} with other options than it has now. Choose"
        f" another folder, or take these lines out of {table}."
    )
