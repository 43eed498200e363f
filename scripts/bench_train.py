"""Measure whole trainings against stock fairseq's: updates a second, and peak memory.

Each system trains in fairseq-train processes of its own, which take turns: data loading, the
optimizer and the log are in. The baseline `stock` is fairseq's `transformer` with
`label_smoothed_cross_entropy` (0.1) without the plugin, equally large, on the same batches.
Systems are named as in bench_step.py. The corpus is made up, with sentences as long as in the data
set whose size is chosen, or is your own with --data.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from bench import corpus, cuda, machine, output, shapes
from bench.corpus import Corpus
from bench.counts import step_cost
from bench.steps import times
from bench.systems import STOCK, System, argument, parse_systems
from bench.timing import alternate, percentiles
from bench.trainings import KINDS, Setup, Told, train

SYSTEMS = "n1,n2,n3,n2-sample0.25,n2-every4"
HEADS = ["system", "20 %", "median", "80 %", "counted", "packed", "updates/s", "peak MB", "peak"]


def main() -> None:
    """Measure, print a table and keep the results as JSON when asked."""
    machine.quieten()
    parser = make_parser()
    args = parser.parse_args()
    try:
        setup = setup_of(args)
        check(args, setup)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(setup.threads)
    about = machine.describe(setup.device)
    print(machine.in_words(about), flush=True)
    folder = tempfile.TemporaryDirectory() if not args.work else nullcontext(args.work)
    try:
        with folder as work:
            result = measure(setup, args.systems, args.rounds, prepare(args, setup, Path(work)))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    print(in_words(result))
    if args.json:
        told = {"benchmark": "train", "command": sys.argv[1:]}
        output.write_json(args.json, {**told, **about, **result})


def make_parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    model = shapes.add_shape(parser, {name: kind.shape for name, kind in KINDS.items()})
    model.add_argument("--dropout", type=float, help=f"(default: {_defaults('dropout')})")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="train on what fairseq-preprocess wrote here, whose vocabulary counts",
    )
    data.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="write the made-up corpus here and keep it (default: a temporary folder)",
    )
    data.add_argument(
        "--tokens",
        type=shapes.positive,
        metavar="NUMBER",
        help=f"--max-tokens of a batch (default: {_defaults('tokens')})",
    )
    data.add_argument(
        "--seed",
        type=int,
        default=1,
        help="of corpus, parameters and order of the batches (default: %(default)s)",
    )
    shapes.add_threads(parser)
    device = parser.add_argument_group("device")
    device.add_argument(
        "--device", choices=shapes.DEVICES, default="cpu", help="(default: %(default)s)"
    )
    device.add_argument("--fp16", action="store_true", help="half precision; needs --device cuda")
    add_measured(parser.add_argument_group("what is measured"))
    output.add_json(parser.add_argument_group("files"))
    return parser


def add_measured(group: argparse._ArgumentGroup) -> None:
    """Declare the systems and how often they train."""
    group.add_argument(
        "--systems",
        type=argument(parse_systems),
        default=SYSTEMS,
        help="comma-separated (default: %(default)s)",
    )
    for name, default, text in (
        ("rounds", 3, "processes of each system"),
        ("updates", 40, "of each process that count"),
        ("warm-up", 8, "updates of each process before these, which do not count"),
    ):
        group.add_argument(
            f"--{name}", type=shapes.positive, default=default, help=f"{text} (default: {default})"
        )


def _defaults(name: str) -> str:
    return ", ".join(f"{size} {getattr(kind, name)}" for size, kind in KINDS.items())


def setup_of(args: argparse.Namespace) -> Setup:
    """Read the options.

    Raises:
        ValueError: sizes that do not fit each other.
    """
    kind = KINDS[args.size]
    dropout = kind.dropout if args.dropout is None else args.dropout
    shapes.check_dropout(dropout)
    return Setup(
        shapes.shape_of(args, kind.shape),
        dropout,
        args.tokens or kind.tokens,
        args.seed,
        args.threads or torch.get_num_threads(),
        args.device,
        args.fp16,
        args.warm_up,
        args.updates,
    )


def check(args: argparse.Namespace, setup: Setup) -> None:
    """Stop before the work if something does not go together or is not there.

    Raises:
        ValueError: so it is.
    """
    output.require_folder("--json", args.json)
    cuda.require(setup.device, setup.dtype)
    if setup.fp16 and setup.device != cuda.CUDA:
        raise ValueError("--fp16: needs a GPU; received --device cpu. Add --device cuda.")
    for system in args.systems:
        if setup.updates % system.every:
            raise ValueError(
                f"--updates: must be a multiple of K of -everyK, so that as many updates look ahead"
                f" as on average; received {setup.updates} with {system.name}."
            )
    if not args.data:
        if args.work and not args.work.is_dir():
            raise ValueError(f"--work: must be a folder that is there; received {args.work}.")
        return
    corpus.require(args.data)
    for flag in ("work", "vocabulary"):
        if getattr(args, flag) is not None:
            raise ValueError(
                f"--{flag}: is for a made-up corpus; received {getattr(args, flag)} with --data."
                " Leave one of them out."
            )


def prepare(args: argparse.Namespace, setup: Setup, work: Path) -> Corpus:
    """The corpus to train on, written here if it is made up."""
    if not args.data:
        kind = KINDS[args.size]
        corpus.write(work, kind.lengths, kind.pairs, setup.shape.vocabulary, setup.seed)
    return corpus.read(args.data or work, setup.tokens)


def measure(setup: Setup, systems: list[System], rounds: int, data: Corpus) -> dict[str, Any]:
    """All that is told about the systems, stock first, in plain containers.

    Raises:
        ValueError: a training failed.
    """
    setup = replace(setup, shape=replace(setup.shape, vocabulary=data.vocabulary))
    chosen = {STOCK: None, **{system.name: system for system in systems}}
    told = alternate(
        chosen,
        rounds,
        timer=lambda system: train(setup, data, system),
        warm_ups=0,
    )
    stock = step_cost(setup.shape, data.padded)
    return {
        "setup": asdict(setup),
        "rounds": rounds,
        "batch": {
            "sentences": data.sentences,
            **{f"{x}_tokens": getattr(data.real, x) for x in ("source", "target")},
            **{f"{x}_padded": getattr(data.padded, x) for x in ("source", "target")},
        },
        "rows": [
            row(name, told[name], told[STOCK])
            | {
                "counted": step_cost(setup.shape, data.padded, system) / stock,
                "packed": step_cost(setup.shape, data.real, system) / stock if system else 1.0,
            }
            for name, system in chosen.items()
        ],
    }


def row(name: str, ours: list[Told], stock: list[Told]) -> dict[str, Any]:
    """Times and peak memory of a system, by round."""
    ratios = times([x.seconds for x in ours], [x.seconds for x in stock])
    peaks = [max(x.peak_bytes for x in told) for told in (ours, stock)]
    return {
        "system": name,
        **ratios,
        "updates_per_second": 1 / percentiles(ratios["seconds"])["median"],
        "peak_mb": peaks[0] / 2**20,
        "peak_ratio": peaks[0] / peaks[1],
    }


def in_words(result: dict[str, Any]) -> str:
    """The table under lines about its setup."""
    setup, batch = result["setup"], result["batch"]
    about = {**setup["shape"], **{k: v for k, v in setup.items() if k != "shape"}}
    return "\n".join(
        [
            ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()),
            ", ".join(f"{name.replace('_', ' ')} {value:.0f}" for name, value in batch.items()),
            output.table(HEADS, [cells(row) for row in result["rows"]]),
        ]
    )


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    ratio = [row["ratio"][x] for x in ("p20", "median", "p80")]
    numbers = [*ratio, row["counted"], row["packed"], row["updates_per_second"]]
    peak = [f"{row['peak_mb']:.0f}", f"{row['peak_ratio']:.2f}"]
    return [row["system"], *(f"{x:.2f}" for x in numbers), *peak]


if __name__ == "__main__":
    main()
