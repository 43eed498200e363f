"""What a fairseq-train with ``--log-format json`` has logged."""

import json
import re
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Curve = list[tuple[int, float]]  # update, value


def records(path: Path, kind: str = "train_inner") -> list[Record]:
    """The records of one kind by rising update.

    Of several of one update the last counts, as a training that was interrupted makes some updates
    again. A line that was cut off is left out.

    Args:
        path: the log; none is an empty one.
        kind: train_inner (since the record before), train or valid (of an epoch).

    Returns:
        each with ``num_updates`` as a number.
    """
    found: dict[int, Record] = {}
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in text.split("\n"):
        head, _, record = line.partition("{")
        if head.endswith(f"| {kind} | "):
            try:
                values = json.loads("{" + record)
            except ValueError:
                continue
            prefix = "" if kind == "train_inner" else f"{kind}_"
            update = int(values[f"{prefix}num_updates"])
            found[update] = {**values, "num_updates": update}
    return [found[update] for update in sorted(found)]


def curves(logged: list[Record], name: str) -> dict[int, Curve]:
    """The curve of each step's value, ``<name>_<step>`` in the log, by step.

    Args:
        logged: records.
        name: as in accuracy, for accuracy_1, accuracy_2, ...
    """
    steps = {int(x[1]) for r in logged for key in r if (x := re.fullmatch(rf"{name}_(\d+)", key))}
    return {
        step: [
            (r["num_updates"], float(r[f"{name}_{step}"])) for r in logged if f"{name}_{step}" in r
        ]
        for step in sorted(steps)
    }
