"""Compare labelled checkpoints of several seeds at each beam: scores, intervals and a picture."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from teaforn_fairseq.beams.cells import complete
from teaforn_fairseq.beams.checks import check
from teaforn_fairseq.beams.metrics import COLUMNS
from teaforn_fairseq.beams.plan import Plan
from teaforn_fairseq.beams.report import report
from teaforn_fairseq.systems import add_systems, read_systems

BEAMS = (1, 2, 4, 5, 8, 16)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``teaforn-beams``."""
    words = list(sys.argv[1:] if argv is None else argv)
    split = words.index("--") if "--" in words else len(words)
    args = parse_args(words[:split])
    for number in (signal.SIGINT, signal.SIGTERM):  # what runs ends with this
        signal.signal(number, lambda which, _: sys.exit(128 + which))
    for name in ("fairseq", "teaforn_fairseq", "matplotlib", "sacrebleu"):  # else all speak
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        plan = plan_of(args, words[split + 1 :])
        made = check(plan)
        failures = complete(plan, made)
        print(report(plan), flush=True)  # before what may be said of failures
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    if failures:
        raise SystemExit(f"error: {len(failures)} of {len(plan.cells())} cells failed, see above.")


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="teaforn-beams",
        description=(__doc__ or "").partition("\n")[0],
        epilog="What follows -- goes to fairseq-generate as it is, as in -- --max-tokens 8000.",
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    add("data", type=Path, metavar="DATA", help="folder that fairseq-preprocess wrote")
    add_systems(parser)
    add(
        "--reference", type=Path, required=True, help="raw text to score against, a sentence a line"
    )
    add("--source", type=Path, help="raw text of the source side (default: from DATA)")
    add("--out", type=Path, required=True, metavar="FOLDER", help="for the results")
    add("--gen-subset", default="test", help=f"what to translate {default}")
    add("--beams", nargs="+", type=beam_size, default=list(BEAMS), metavar="K", help=default)
    add("--metrics", nargs="+", choices=COLUMNS, default=["bleu", "chrf"], help=default)
    add("--lenpen", type=float, default=1.0, help=f"length penalty at all beams {default}")
    add("--remove-bpe", nargs="?", const="subword_nmt", help="as fairseq-generate takes it")
    add("--cpu", action="store_true", help="do without a GPU that is there")
    add("--fp16", action="store_true", help="in half precision")
    return parser.parse_args(argv)


def beam_size(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; received {text}.")
    return int(text)


def plan_of(args: argparse.Namespace, further: Sequence[str]) -> Plan:
    """What the command line asks for.

    Raises:
        ValueError: labels and checkpoints do not go together.
    """
    systems = {x.label: list(x.checkpoints) for x in read_systems(args.systems)}
    options = ["--lenpen", f"{args.lenpen:g}"]
    options += ["--remove-bpe", args.remove_bpe] if args.remove_bpe else []
    options += [f"--{name}" for name in ("cpu", "fp16") if getattr(args, name)]
    return Plan(
        data=args.data,
        subset=args.gen_subset,
        systems=systems,
        beams=sorted(set(args.beams)),
        metrics=list(dict.fromkeys(args.metrics)),
        reference=args.reference,
        source=args.source,
        out=args.out,
        options=[*options, *further],
    )
