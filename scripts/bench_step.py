"""Measure training steps against stock fairseq's: time, multiply-adds and peak memory.

The systems take turns in one process. A step sets the gradients to None and runs the criterion
forward and backward, with dropout on and without an optimizer. The baseline `stock` is fairseq's
`transformer` with `label_smoothed_cross_entropy` (0.1), equally large, on the same batch. Systems
are nN (--teaforn-n N) with any of -recompute, -sampleR (--teaforn-sample-positions R), -everyK
(--teaforn-every K; the mean over K updates), -plain and -fused (--teaforn-loss-impl) behind it.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bench import cuda, machine, output, peak, plot, shapes, steps
from bench.shapes import Setup
from bench.systems import argument, parse_systems

SYSTEMS = "n1,n2,n3,n3-recompute,n2-sample0.25,n2-every4"
FURTHER = range(2, 9)
SWEEPS: dict[str, tuple[str, list[int]]] = {
    "n": (",".join(["n1", *(f"n{n}{x}" for x in ("", "-recompute") for n in FURTHER)]), []),
    "vocabulary": ("n1,n2,n3", [4000, 8000, 16000, 32000, 64000]),
    "length": ("n1,n2,n3", [16, 32, 64, 128, 256]),
}


def main() -> None:
    """Measure, or draw what was measured before."""
    machine.quieten()
    parser = make_parser()
    args = parser.parse_args()
    try:
        setup = shapes.setup_of(args, torch.get_num_threads())
        cuda.require(setup.device, setup.dtype)
        check_outputs(args)
        results = plot.read_results(args.results or [])
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(setup.threads)
    if args.peak_of:
        print(json.dumps({"peak_bytes": steps.peak_of(setup, args.peak_of)}))
        return
    try:
        results = results or [measure_all(args, setup)]
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    except torch.cuda.OutOfMemoryError as error:
        raise SystemExit(
            f"error: --device: the GPU's memory does not suffice. Choose smaller sizes. {error}"
        ) from error
    if args.plot:
        plot.draw(results, args.plot)


def make_parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shapes.add_options(parser, tokens=800)
    shapes.add_device(parser)
    measured = parser.add_argument_group("what is measured")
    measured.add_argument(
        "--systems", type=argument(parse_systems), help=f"comma-separated (default: {SYSTEMS})"
    )
    measured.add_argument(
        "--sweep",
        choices=SWEEPS,
        help="N from 1 to 8 with and without recomputation, vocabularies from 4,000 to 64,000 or"
        " longest sentences from 16 to 256, for N from 1 to 3 unless --systems is given",
    )
    shapes.add_rounds(measured)
    measured.add_argument(
        "--memory",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="peak memory above the built model over 3 steps, on the CPU in a process of its own"
        " for each system and on Linux only (default: --memory)",
    )
    measured.add_argument(
        "--profile", action="store_true", help="also print PyTorch's profile of one step of each"
    )
    measured.add_argument("--peak-of", metavar="SYSTEM", help=argparse.SUPPRESS)
    files = parser.add_argument_group("files")
    output.add_json(files)
    files.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help=f"draw cost against N ({', '.join(plot.FORMATS)}); needs the extra bench",
    )
    files.add_argument(
        "--from",
        type=Path,
        nargs="+",
        dest="results",
        metavar="FILE",
        help="draw what --json wrote before, and measure nothing",
    )
    return parser


def check_outputs(args: argparse.Namespace) -> None:
    """Stop before the work if its results could not be kept.

    Raises:
        ValueError: a file that cannot be written, or options that do not go together.
    """
    output.require_folder("--json", args.json)
    output.require_folder("--plot", args.plot)
    if args.plot:
        plot.require_plot(args.plot)
    if args.plot and args.sweep in ("vocabulary", "length"):
        raise ValueError(f"--plot: draws cost against N only; received --sweep {args.sweep}.")
    if args.results and not args.plot:
        raise ValueError("--from: is for --plot, which is missing. Add --plot FILE.")
    if args.results and args.json:
        raise ValueError(f"--json: nothing is measured with --from; received {args.json}.")
    for flag in ("systems", "sweep"):
        if args.results and getattr(args, flag):
            raise ValueError(f"--{flag}: nothing is measured with --from. Leave one of them out.")


def measure_all(args: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    """Measure each point of the sweep, print its table at once and write the JSON at the end."""
    about = machine.describe(setup.device)
    print(machine.in_words(about), flush=True)
    memory = args.memory and (setup.device == cuda.CUDA or peak.available())
    if args.memory and not memory:
        print("peak memory is not measured: it needs Linux's /proc/self/clear_refs")
    systems = args.systems or parse_systems(SWEEPS[args.sweep][0] if args.sweep else SYSTEMS)
    result = {"benchmark": "step", "command": sys.argv[1:], **about, "runs": []}
    for point in points(setup, args.sweep):
        run = steps.measure(
            point,
            systems,
            args.rounds,
            memory_script=Path(__file__) if memory else None,
            profiled=args.profile,
        )
        result["runs"].append(run)
        print(steps.in_words(run), flush=True)
        if args.json:
            output.write_json(args.json, result)
    return result


def points(setup: Setup, sweep: str | None) -> Iterator[Setup]:
    """The setups of a sweep; of --sweep n and of none, this one."""
    values = SWEEPS[sweep][1] if sweep else []
    for value in values:
        if sweep == "length":
            yield replace(setup, longest=value)
        else:
            yield replace(setup, shape=replace(setup.shape, vocabulary=value))
    if not values:
        yield setup


if __name__ == "__main__":
    main()
