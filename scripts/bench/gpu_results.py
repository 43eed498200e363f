"""The results of gpu_check.py: one JSON and one page a card."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.output import write_json, write_whole
from bench.shapes import SIZES, Shape
from bench.timing import percentiles

HEADS = [
    *("system", "20 %", "median", "80 %", "counted", "packed", "ms", "host ms"),
    *("peak MB", "peak"),
]
ABOUT = """\
Written by `scripts/gpu_check.sh`. A step is a training step forward and backward, without an
optimizer, beside stock fairseq's in the same run, on the same batch and in the same numbers:
float16 as `fairseq-train --fp16` has them, bfloat16 as `--bf16`, float32 with PyTorch's default
products, without TF32. *20 %*, *median*, *80 %*, *counted* and *packed* are ratios to the stock
step ([what they are](../step-cost.md#what-is-measured)). *ms* is the median between events of the
GPU, *host ms* until the host had enqueued the step; *peak* is memory above the built model.
"""


def paths(folder: Path, result: dict[str, Any], quick: bool = False) -> tuple[Path, Path]:
    """Where JSON and page go: gpu-CARD.json and gpu-CARD.md, a quick look to gpu-CARD-quick."""
    card = re.sub(r"[^a-z0-9]+", "-", result["machine"]["gpu"].lower()).strip("-")
    name = f"gpu-{card}{'-quick' if quick else ''}"
    return folder / f"{name}.json", folder / f"{name}.md"


def write(folder: Path, result: dict[str, Any], quick: bool = False) -> None:
    """Write both files, whole."""
    data, page = paths(folder, result, quick)
    text = in_markdown(result, data.name)
    write_json(data, result)
    write_whole(page, lambda to: to.write_text(text, encoding="utf-8"))


def read_runs(path: Path) -> list[dict[str, Any]]:
    """The runs that ``bench_step.py --json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))["runs"]


def count_tests(report: Path) -> dict[str, int]:
    """Tests passed, failed (errors too) and skipped, by pytest's JUnit report; 0 without one."""
    suites = ElementTree.parse(report).iter("testsuite") if report.is_file() else []
    counted = Counter(tests=0, failures=0, errors=0, skipped=0)
    for suite in suites:
        counted.update({name: int(suite.get(name, 0)) for name in counted})
    failed, skipped = counted["failures"] + counted["errors"], counted["skipped"]
    return {"passed": counted["tests"] - failed - skipped, "failed": failed, "skipped": skipped}


def in_markdown(result: dict[str, Any], data: str) -> str:
    """The page: what was run, on what, and a table for each run."""
    machine, versions, tests = result["machine"], result["versions"], result["tests"]
    told = ", ".join(f"{name} {value}" for name, value in versions.items() if value)
    counted = "not run"
    if tests:
        counted = ", ".join(f"{tests[x]} {x}" for x in ("passed", "failed", "skipped"))
    return "\n".join(
        [
            f"# Training steps on {machine['gpu']}\n",
            ABOUT,
            f"- {result['date']}, commit {result['commit'] or 'unknown'}",
            f"- {machine['gpu']}, {machine['gpu_mb']} MB, CUDA {machine['cuda']}, driver"
            f" {machine['driver'] or 'unknown'}; {machine['cpu']}, {machine['cores']} cores",
            f"- {told}",
            f"- `tests/gpu`: {counted}",
            *(f"- failed to measure: {point}" for point in result["failed"]),
            f"- [all figures]({data})",
            *map(_section, result["runs"]),
            "",
        ]
    )


def _section(run: dict[str, Any]) -> str:
    setup, batch = run["setup"], run["batch"]
    shape = Shape(**setup["shape"])
    size = next((name for name, x in SIZES.items() if x == shape), f"width {shape.width}")
    rows = [HEADS, ["---"] * len(HEADS), *map(_cells, run["rows"])]
    return (
        f"\n## {size}, {setup['dtype']}\n\n{batch['target_tokens']} target and"
        f" {batch['source_tokens']} source tokens ({batch['target_padded']} and"
        f" {batch['source_padded']} with padding), longest sentence {setup['longest']}, dropout"
        f" {setup['dropout']}, {run['rounds']} rounds:\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    )


def _cells(row: dict[str, Any]) -> list[str]:
    ratio, host = row["ratio"], row["host_seconds"]
    return [
        row["system"],
        *(f"{ratio[x]:.2f}" for x in ("p20", "median", "p80")),
        *(f"{row[x]:.2f}" for x in ("counted", "packed")),
        _milliseconds(row["seconds"]),
        _milliseconds(host) if host else "-",
        "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
        "-" if row["peak_ratio"] is None else f"{row['peak_ratio']:.2f}",
    ]


def _milliseconds(seconds: list[float]) -> str:
    return f"{percentiles(seconds)['median'] * 1000:.1f}"
