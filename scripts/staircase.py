"""Draw the accuracy of each step against updates, a panel for each training, from their logs."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from bench.output import write_whole
from training_log import Record, curves, records

LINES = {"accuracy": "-", "ahead": "--"}  # of a step; of all steps up to it, where it is logged


def main() -> None:
    """Read the logs, draw and write."""
    args = parse_args()
    try:
        require_matplotlib()
        figure = figure_of({name: read(Path(log)) for name, log in args.run}, args.title)
        write_whole(args.out, lambda partial: figure.savefig(partial, dpi=150, format="png"))
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"steps against updates: {args.out}")


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--title", default="", help="above the panels")
    parser.add_argument(
        "--run",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "LOG"),
        help="a training with --report-accuracy and --log-format json; may be given several times",
    )
    return parser.parse_args()


def require_matplotlib() -> None:
    """Stop unless a picture can be drawn.

    Raises:
        ValueError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(
            "matplotlib is not installed. Install the extra demo: pip install --constraint"
            ' constraints.txt ".[demo]".'
        )


def read(log: Path) -> list[Record]:
    """The records of a log.

    Raises:
        ValueError: it has no accuracy.
    """
    logged = records(log)
    if not curves(logged, "accuracy"):
        raise ValueError(
            f"--run: must be logs of --report-accuracy and --log-format json; received {log}."
        )
    return logged


def figure_of(logs: dict[str, list[Record]], title: str) -> Any:
    """The panels, one beside the other.

    Args:
        logs: records by the training's name.
        title: above the panels.

    Returns:
        matplotlib's figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(logs), 4), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, len(logs), sharey=True, squeeze=False)[0]
    for axes, (name, logged) in zip(panels, logs.items(), strict=True):
        for kind, style in LINES.items():
            for step, curve in curves(logged, kind).items():
                label = f"step {step}" if kind == "accuracy" else f"steps 1 to {step}, all right"
                axes.plot(*zip(*curve, strict=True), style, color=f"C{step - 1}", label=label)
        axes.set(title=name, xlabel="updates", ylim=(0, 101))
        axes.legend(loc="lower right")
    panels[0].set_ylabel("tokens right in training, %")
    return figure


if __name__ == "__main__":
    main()
