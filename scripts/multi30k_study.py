"""Repeat the study of translation on Multi30k: train each arm with each seed, translate, compare.

What has its line in the table is not repeated, and a training that was interrupted goes on from its
last checkpoint.
"""

import argparse
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.shapes import positive
from recipes import engine
from recipes.common import ROOT
from study.device import CUDA, add_device, require_device
from study.processes import run_all
from translation_study.arms import ARMS, before, cut
from translation_study.jobs import Place, prepare
from translation_study.table import SETS, Table
from translation_study.trainings import Run, check, train

RESULTS = ROOT / "docs/results/multi30k"
STAGES = ("train", "score")
PAIRS = ("en-de", "en-fr")
BEAMS = (1, 2, 4, 5, 8, 16)


def main() -> None:
    """Do what is missing of the stages, then write what the table says."""
    args = parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each training: there is one for each core
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for name in ("matplotlib", "sacrebleu"):  # fairseq has every logger speak
        logging.getLogger(name).setLevel(logging.WARNING)
    failures = []
    with engine.ending():
        try:
            failures = work(args)
        except ValueError as error:
            raise SystemExit(f"error: {error}") from error
    sys.exit(bool(failures))


def work(args: argparse.Namespace) -> list[str]:
    """The study; return why parts of it failed."""
    check_machine(args)
    table, sets = Table(args.results), [(name, beam) for name in args.sets for beam in args.beams]
    runs, training, scoring = wanted(args), "train" in args.stages, "score" in args.stages
    for run in runs:
        check(run, training=training)
    table.check(runs)
    missing = [run for run in runs if table.missing(run, sets)]
    # The scores' summary needs the references of all.
    for run in {run.pair: run for run in (runs if scoring else missing)}.values():
        prepare(run.job)

    failures = run_all(
        lambda line: [one(run, table, sets, args.stages) for run in line],
        in_line(missing),
        args.jobs,
        args.stop_after,
    )
    left = [run for run in missing if not run.model.exists()] if training else []
    if left and not failures:
        print(f"ended after {args.stop_after} s; {len(left)} are not trained: run again to go on")
    if scoring:
        # Here, because it needs what has been asked for above.
        from translation_study.pictures import draw
        from translation_study.summary import summarize

        summarize(table, args.work)
        draw(table)
    return failures


def one(run: Run, table: Table, sets: Sequence[tuple[str, int]], stages: Sequence[str]) -> None:
    """The stages of a run."""
    if "train" in stages:
        train(run)
    if "score" in stages:
        # Here, because a machine that only trains may have no sacreBLEU.
        from translation_study.scores import score

        score(run, table, sets)


def in_line(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs, those together and in order of which a later one goes on from an earlier one."""
    lines: dict[tuple[str, int, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: len(before(run.arm))):
        lines.setdefault((run.pair, run.seed, (*before(run.arm), run.name)[0]), []).append(run)
    return list(lines.values())


def wanted(args: argparse.Namespace) -> list[Run]:
    """All that the command line asks for.

    Raises:
        ValueError: an arm of --updates is none of --arms.
    """
    gpu = args.device == CUDA
    place = Place(args.work.absolute(), args.data, gpu, args.fp16, dict(args.set))
    updates = dict(args.updates)
    for name in updates.keys() - {"", *args.arms}:
        raise ValueError(
            f"--updates: must name one of --arms {' '.join(args.arms)}; received {name}."
        )
    arms = {x: cut(ARMS[x], updates.get(x, updates.get(""))) for x in args.arms}
    return [
        Run(place, pair, name, arm, seed)
        for seed in args.seeds
        for pair in args.pairs
        for name, arm in arms.items()
    ]


def check_machine(args: argparse.Namespace) -> None:
    """Stop unless the machine has what the stages need.

    Raises:
        ValueError: it has not.
    """
    if args.fp16 and args.device != CUDA:
        raise ValueError(
            f"--fp16: needs --device cuda; received {args.device}. Add it, or leave --fp16 out."
        )
    require_device(args.device)
    needed = ("matplotlib", "mt_thresholds", "scipy") if "score" in args.stages else ()
    for package in needed:
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"--stages score: needs {package}, which is not installed. Install the extra bench:"
                ' pip install --constraint constraints.txt ".[bench]".'
            )


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add, default = parser.add_argument, "(default: %(default)s)"
    several = {"nargs": "+", "metavar": "X"}
    add("--work", type=Path, required=True, help="folder for data, logs, checkpoints and models")
    add("--data", type=Path, help="folder of Multi30k's archives (default: download them)")
    add("--results", type=Path, default=RESULTS, help="for tables and texts (default: docs/...)")
    add(
        "--arms",
        **several,
        choices=ARMS,
        default=list(ARMS),
        help="of scripts/translation_study/arms.py (default: all)",
    )
    add("--seeds", **several, type=positive, default=[1, 2, 3, 4, 5], help=f"of each {default}")
    add("--pairs", **several, choices=PAIRS, default=list(PAIRS), help=f"languages {default}")
    add("--beams", **several, type=positive, default=list(BEAMS), help=default)
    add("--sets", **several, choices=SETS, default=list(SETS), help=f"to translate {default}")
    add("--stages", **several, choices=STAGES, default=list(STAGES), help=f"what to do {default}")
    add("--jobs", type=positive, default=1, help=f"runs at a time, a thread each {default}")
    add_device(parser)
    add("--fp16", action="store_true", help="in half precision; with --device cuda")
    add("--stop-after", type=positive, metavar="SECONDS", help="end all then, to go on later")
    add(
        "--updates",
        **several,
        type=updates_of,
        default=[],
        help="of each, or ARM=UPDATES of one (default: the arm's own)",
    )
    add("--set", **several, type=setting, default=[], help="SETTING=VALUE of the recipe multi30k")
    return parser.parse_args()


def updates_of(text: str) -> tuple[str, int]:
    """UPDATES, or ARM=UPDATES; "" stands for all arms."""
    name, _, number = text.rpartition("=")
    return name, positive(number)


def setting(text: str) -> tuple[str, str]:
    """SETTING=VALUE."""
    name, equal, value = text.partition("=")
    if not equal:
        raise argparse.ArgumentTypeError(f"must be SETTING=VALUE; received {text}.")
    return name, value


if __name__ == "__main__":
    main()
