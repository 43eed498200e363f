"""Repeat the study of path-star graphs: train each cell with each seed, write tables, draw.

Runs that are in the table are not repeated, so that a study that was interrupted goes on.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock

from recipes.common import ROOT
from study.cells import CELLS, Cell
from study.data import prepare
from study.pictures import draw
from study.runs import train
from study.table import Table

RESULTS = ROOT / "docs/results/path-star"


def main() -> None:
    """Train what is missing, then write what the table says."""
    args = parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each training: there is one for each core
    table, lock = Table(args.results), Lock()
    cells = {name: cut(CELLS[name], args.updates) for name in args.cells}
    done = {(run.cell, run.seed) for run in table.runs()}

    def work(wanted: tuple[int, str]) -> None:
        seed, name = wanted
        run, curve = train(name, cells[name], seed, args.work)
        with lock:
            table.add(run, curve)
            print(run.cell, run.seed, run.solved or "-", run.paths, sep="\t", flush=True)

    missing = [(seed, x) for seed in args.seeds for x in args.cells if (x, seed) not in done]
    for _, name in missing:
        prepare(cells[name], args.work)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(work, missing))
    table.write_summary()
    draw(table)


def cut(cell: Cell, updates: int | None) -> Cell:
    """The cell with so many updates at most; None: with its own."""
    return replace(cell, updates=updates) if updates else cell


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--results", type=Path, default=RESULTS, help="folder of the tables and pictures")
    add("--work", type=Path, required=True, help="folder for data, logs and checkpoints")
    add("--cells", nargs="*", choices=CELLS, default=list(CELLS), metavar="CELL", help="to train")
    add("--seeds", nargs="*", type=int, default=[1, 2, 3, 4, 5], help="of each")
    add("--updates", type=int, help="most updates of each (default: the cell's own)")
    add("--jobs", type=int, default=1, help="trainings at a time, of one thread each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
