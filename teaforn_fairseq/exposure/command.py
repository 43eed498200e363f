"""The command line ``teaforn-exposure``: what it takes, what it checks first, what it writes."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from fairseq.data.data_utils import post_process

from teaforn_fairseq.exposure.comparing import Cell
from teaforn_fairseq.exposure.loading import load, open_checkpoint, require_feedback
from teaforn_fairseq.exposure.measuring import Figures, Measurement, Request, prompt_of
from teaforn_fairseq.exposure.results import about, places_in, write
from teaforn_fairseq.extras import require_extra
from teaforn_fairseq.feedbacks import FEEDBACKS, build_feedback
from teaforn_fairseq.systems import System, add_systems, read_systems
from teaforn_fairseq.unroll.steps import UnrollSettings

PACKAGES = {"matplotlib": "matplotlib", "scipy": "scipy"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``teaforn-exposure``."""
    args = parse_args(argv)
    for name in ("fairseq", "matplotlib"):  # at their own level they tell what nobody asked
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        systems = read_systems(args.systems)
        request = request_of(args)
        places = places_in(args.out)
        require_extra("teaforn-exposure", "exposure", PACKAGES)
        check(systems, args.data, request)
        cells, references = measure(systems, args.data, request)
        if all(cell.error for cell in cells):
            raise ValueError("no checkpoint could be measured; see the lines above.")
        write(places, cells, references, about(args, request))
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{args.out}: {', '.join(path.name for path in places.values())}")
    failed = sum(cell.error is not None for cell in cells)
    if failed:
        raise SystemExit(
            f"error: {failed} of {len(cells)} checkpoints failed; see the lines above."
        )


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="teaforn-exposure",
        description="Measure what models do behind gold and behind their own tokens: the steps of"
        " the unroll, greedy decoding, hidden states, the predicted distribution, repetition."
        " Checkpoints of stock architectures are measured as their twins.",
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    add("data", type=Path, metavar="DATA", help="folder that fairseq-preprocess wrote")
    add_systems(parser)
    add("--out", type=Path, required=True, metavar="FOLDER", help="for the results")
    add("--gen-subset", default="test", help=f"the part of the data {default}")
    add("--steps", type=int, default=3, metavar="N", help=f"of the unroll {default}")
    add("--feedback", choices=sorted(FEEDBACKS), default="hidden", help=f"of the unroll {default}")
    add(
        "--teaforn-prompt-end",
        metavar="SYMBOL",
        help="language models: what each line's prompt ends with, which greedy decoding goes on"
        " from; without it there is none",
    )
    add(
        "--remove-bpe",
        nargs="?",
        const="subword_nmt",
        help="how to make words, whose n-grams are counted, as fairseq-generate takes it (default:"
        " count tokens as they are)",
    )
    add("--max-tokens", type=int, default=4096, metavar="M", help=f"of a batch {default}")
    add("--cpu", action="store_true", help="do without a GPU that is there")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--fp16", action="store_true", help="in half precision")
    precision.add_argument("--bf16", action="store_true", help="in bfloat16")
    return parser.parse_args(argv)


def request_of(args: argparse.Namespace) -> Request:
    """How to measure.

    Raises:
        ValueError: a number below 1, or subwords of an unknown kind.
    """
    for flag, value in (("--steps", args.steps), ("--max-tokens", args.max_tokens)):
        if value < 1:
            raise ValueError(f"{flag}: must be at least 1; received {value}.")
    try:
        post_process("", args.remove_bpe)
    except NotImplementedError:
        raise ValueError(
            "--remove-bpe: must be a kind of subwords that fairseq knows, as sentencepiece or"
            f" subword_nmt; received {args.remove_bpe}."
        ) from None
    return Request(
        subset=args.gen_subset,
        settings=UnrollSettings(args.steps, build_feedback(args.feedback, {})),
        max_tokens=args.max_tokens,
        cpu=args.cpu,
        dtype=torch.half if args.fp16 else torch.bfloat16 if args.bf16 else None,
        post_process=args.remove_bpe,
        prompt_end=args.teaforn_prompt_end,
    )


def check(systems: Sequence[System], data: Path, request: Request) -> None:
    """Read all checkpoints once, so that what is wrong with one is known before any work.

    Raises:
        ValueError: one cannot be measured.
    """
    for path in (path for system in systems for path in system.checkpoints):
        state, task = open_checkpoint(path, data, request.subset)
        model_class = require_feedback(state, request.settings, task, path)
        prompt_of(request, model_class, task)


def measure(systems: Sequence[System], data: Path, request: Request) -> tuple[list[Cell], Figures]:
    """Every checkpoint's figures; one that fails is told, and the others go on.

    Returns:
        The cells, and the figures of the gold texts.
    """
    cells, references = [], {}
    for label, path in ((x.label, path) for x in systems for path in x.checkpoints):
        begin = time.perf_counter()
        try:
            measurement = Measurement(*load(path, data, request.subset), request)
            measurement.run()
            figures = measurement.figures()
        except Exception as error:  # whatever it is, the others can be measured
            text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            print(f"{label}: {path}: failed: {text}", file=sys.stderr, flush=True)
            cells.append(Cell(label, str(path), None, text))
            continue
        references = references or dict(measurement.references.figures())
        cells.append(Cell(label, str(path), figures))
        seconds = time.perf_counter() - begin
        print(f"{label}: {path}: {figures['tokens', '']} tokens, {seconds:.0f} s", flush=True)
    return cells, references
