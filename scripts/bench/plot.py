"""Cost against N, measured and counted."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from bench.output import write_whole

FORMATS = (".png", ".svg", ".pdf")


def require_plot(path: Path) -> None:
    """Stop unless a plot can be drawn.

    Raises:
        ValueError: matplotlib is not installed, or the file's ending is not one of FORMATS.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(
            "--plot: needs matplotlib, which is not installed. Install the extra bench: pip"
            ' install --constraint constraints.txt ".[bench]".'
        )
    if path.suffix not in FORMATS:
        raise ValueError(f"--plot: must end in {', '.join(FORMATS)}; received {path}.")


def read_results(paths: list[Path]) -> list[dict[str, Any]]:
    """Results of ``bench_step.py --json``.

    Raises:
        ValueError: a file that it did not write.
    """
    results = []
    for path in paths:
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            assert result["benchmark"] == "step"
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise ValueError(
                f"--from: must be files that bench_step.py wrote with --json; received {path}."
            ) from error
        results.append(result)
    return results


def lines(results: list[dict[str, Any]]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Rows by kind of system, each with its N, in order: ``nN``, ``nN-recompute``, ...

    Of several rows of one system the first counts.
    """
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for result in results:
        for run in result["runs"]:
            for row in run["rows"]:
                if row["n"] is not None:
                    kind = row["system"].removeprefix(f"n{row['n']}") or ""
                    found.setdefault(f"N{kind}", {}).setdefault(row["n"], row)
    return {kind: sorted(rows.items()) for kind, rows in found.items()}


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw time over a stock step's against N: median, 20th to 80th percentile, and the count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for kind, rows in lines(results).items():
        steps = [n for n, _ in rows]
        ratio = {x: [row["ratio"][x] for _, row in rows] for x in ("p20", "median", "p80")}
        (drawn,) = axes.plot(steps, ratio["median"], marker="o", label=f"{kind}, measured")
        axes.fill_between(steps, ratio["p20"], ratio["p80"], alpha=0.2, color=drawn.get_color())
        counted = [row["counted"] for _, row in rows]
        axes.plot(steps, counted, "x--", color=drawn.get_color(), label=f"{kind}, counted")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(xlabel="unroll steps N", ylabel="cost of a stock step", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    kind = path.suffix.removeprefix(".")
    write_whole(path, lambda partial: figure.savefig(partial, dpi=150, format=kind))
