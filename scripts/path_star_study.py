"""Repeat the study of path-star graphs: train each cell with each seed, write tables, draw.

Runs that are in the table are not repeated, unless they had fewer updates than now, so that a study
that was interrupted goes on.
"""

import argparse
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from threading import Lock

from bench.shapes import positive
from recipes.common import ROOT
from recipes.errors import Refused
from recipes.lock import locked
from staircase import require_matplotlib
from study.cells import CELLS, Cell
from study.data import prepare
from study.device import add_device, require_device
from study.processes import run_all
from study.runs import train
from study.table import Table

RESULTS = ROOT / "docs/results/path-star"


def main() -> None:
    """Train what is missing, then write what the table says."""
    args = parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each training: there is one for each core
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # fairseq has every logger speak
    cells = {name: cut(CELLS[name], args.updates) for name in args.cells}
    try:
        require_matplotlib()
        require_device(args.device)
        table = Table(args.results)
        table.check(cells)
        with locked("--work", args.work):
            failures = train_all(cells, args, table)
    except (ValueError, OSError, Refused) as error:
        raise SystemExit(f"error: {error}") from error
    table.write_summary()
    # Here, because it needs what has been asked for above.
    from study.pictures import draw

    draw(table)
    sys.exit(bool(failures))


def train_all(cells: dict[str, Cell], args: argparse.Namespace, table: Table) -> list[str]:
    """Train each cell with each seed, and keep what comes of it; return why some failed."""
    done = {
        (run.cell, run.seed)
        for run in table.runs()
        if run.cell in cells and (run.solved or run.updates >= cells[run.cell].updates)
    }
    missing = [(seed, name) for seed in args.seeds for name in cells if (name, seed) not in done]
    lock = Lock()

    def work(wanted: tuple[int, str]) -> None:
        seed, name = wanted
        run, curve = train(name, cells[name], seed, args.work, args.device)
        with lock:
            table.add(run, curve)
            print(run.cell, run.seed, run.solved or "-", run.paths, sep="\t", flush=True)

    for _, name in missing:
        prepare(cells[name], args.work)
    return run_all(work, missing, args.jobs)


def cut(cell: Cell, updates: int | None) -> Cell:
    """The cell with so many updates at most; None: with its own."""
    return replace(cell, updates=updates) if updates else cell


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add, default = parser.add_argument, "(default: %(default)s)"
    add("--work", type=Path, required=True, help="folder for data, logs and checkpoints")
    add("--results", type=Path, default=RESULTS, help="for tables and pictures (default: docs/...)")
    add(
        "--cells",
        nargs="+",
        choices=CELLS,
        default=list(CELLS),
        metavar="CELL",
        help="what to train, of scripts/study/cells.py (default: all)",
    )
    add("--seeds", nargs="+", type=positive, default=[1, 2, 3, 4, 5], help=f"of each {default}")
    add("--updates", type=positive, help="most updates of each (default: the cell's own)")
    add_device(parser)
    add("--jobs", type=positive, default=1, help=f"trainings at a time, a thread each {default}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
