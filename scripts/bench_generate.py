"""Measure generation with a twin and with its exported form against stock fairseq's.

The three have equal parameters, drawn at random, and take turns in one process: `stock` is
fairseq's `transformer`, `twin` our twin of it, and `exported` what teaforn-export makes of a
checkpoint of the twin, loaded by stock fairseq's code. Each runs fairseq's SequenceGenerator on the
same batch to the same length. The hypotheses must be identical.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench import machine, output, shapes
from bench.models import (
    ARCH,
    LABEL_SMOOTHING,
    TWIN,
    Batch,
    make_batch,
    make_model,
    make_task,
    model_options,
)
from bench.shapes import Setup
from bench.steps import times
from bench.systems import STOCK
from bench.timing import alternate, percentiles
from fairseq.checkpoint_utils import load_model_ensemble
from fairseq.dataclass.configs import FairseqConfig
from fairseq.models import BaseFairseqModel
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks.translation import TranslationTask

from teaforn_fairseq.export.command import export

Hypotheses = list[list[tuple[list[int], float]]]
HEADS = ["system", "20 %", "median", "80 %", "seconds", "hypotheses"]


def main() -> None:
    """Measure, print a table and keep the results as JSON when asked."""
    machine.quieten()
    parser = make_parser()
    args = parser.parse_args()
    try:
        setup = shapes.setup_of(args, torch.get_num_threads())
        output.require_folder("--json", args.json)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(setup.threads)
    about = machine.describe()
    print(machine.in_words(about), flush=True)
    result = measure(setup, args.beam, args.length, args.rounds)
    if args.json:
        command = {"benchmark": "generate", "command": sys.argv[1:]}
        output.write_json(args.json, {**command, **about, **result})
    print(output.table(HEADS, [cells(row) for row in result["rows"]]))
    if not all(row["identical"] for row in result["rows"]):
        raise SystemExit("error: the systems' hypotheses differ; times cannot be compared.")


def make_parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shapes.add_options(parser, tokens=400, dropout=False)
    measured = parser.add_argument_group("what is measured")
    measured.add_argument(
        "--beam", type=shapes.positive, default=4, help="hypotheses (default: %(default)s)"
    )
    measured.add_argument(
        "--length",
        type=shapes.positive,
        default=32,
        help="tokens of each hypothesis, without the end (default: %(default)s)",
    )
    shapes.add_rounds(measured)
    files = parser.add_argument_group("files")
    output.add_json(files)
    return parser


def measure(setup: Setup, beam: int, length: int, rounds: int) -> dict[str, Any]:
    """Times, and whether the hypotheses are the stock model's, in plain containers."""
    task = make_task(setup.shape.vocabulary)
    batch = make_batch(task, setup)
    systems = models(task, setup)
    runs: dict[str, Callable[[], Hypotheses]] = {
        name: generation(task, model, batch, beam, length) for name, model in systems.items()
    }
    hypotheses = {name: run() for name, run in runs.items()}
    seconds = alternate(runs, rounds)
    return {
        "setup": shapes.as_json(setup),
        "beam": beam,
        "length": length,
        "rounds": rounds,
        "batch": {"sentences": batch.sentences, "source_tokens": batch.real.source},
        "rows": [
            {
                "system": name,
                **times(seconds[name], seconds[STOCK]),
                "identical": hypotheses[name] == hypotheses[STOCK],
            }
            for name in runs
        ],
    }


def models(task: TranslationTask, setup: Setup) -> dict[str, BaseFairseqModel]:
    """The three, with equal parameters, ready to generate."""
    stock, twin = make_model(task, setup, ARCH), make_model(task, setup, TWIN)
    twin.load_state_dict(stock.state_dict())
    systems = {STOCK: stock, "twin": twin, "exported": exported(task, setup, twin)}
    for model in systems.values():
        model.prepare_for_inference_(FairseqConfig())
        model.eval()
    return systems


def exported(task: TranslationTask, setup: Setup, twin: BaseFairseqModel) -> BaseFairseqModel:
    """The twin, saved as fairseq-train saves it, exported, and loaded by stock fairseq."""
    state = {
        "args": None,
        "cfg": {
            "model": argparse.Namespace(_name=TWIN, arch=TWIN, **model_options(setup)),
            "task": {"_name": "translation"},
            "criterion": {
                "_name": "teaforn_cross_entropy",
                "label_smoothing": LABEL_SMOOTHING,
            },
        },
        "model": twin.state_dict(),
        "optimizer_history": [{"num_updates": 0, "optimizer_name": "FairseqAdam"}],
        "extra_state": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, out = Path(folder, "twin.pt"), Path(folder, "stock.pt")
        torch.save(state, checkpoint)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            export([checkpoint], out)
        (model,), _ = load_model_ensemble([str(out)], task=task)
    return model


def generation(
    task: TranslationTask, model: BaseFairseqModel, batch: Batch, beam: int, length: int
) -> Callable[[], Hypotheses]:
    """A run of beam search to a fixed length: tokens and score of every hypothesis."""
    generator = SequenceGenerator(
        [model],
        task.target_dictionary,
        beam_size=beam,
        max_len_a=0,
        max_len_b=length,
        min_len=length,
    )

    def run() -> Hypotheses:
        with torch.no_grad():
            found = generator.generate([model], batch.sample)
        return [[(x["tokens"].tolist(), float(x["score"])) for x in each] for each in found]

    return run


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        row["system"],
        *(f"{row['ratio'][x]:.2f}" for x in ("p20", "median", "p80")),
        f"{percentiles(row['seconds'])['median']:.3f}",
        "identical" if row["identical"] else "different",
    ]


if __name__ == "__main__":
    main()
