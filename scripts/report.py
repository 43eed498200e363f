"""Score finished runs with sacreBLEU, ROUGE or exact matches and print them side by side.

A run is a folder with checkpoint_last.pt and, for each beam, beam<K>.txt as fairseq-generate
printed it. Nothing is scored unless every sentence of the reference has its hypothesis.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from bench.output import write_json
from metrics import METRICS, Exact

from teaforn_fairseq.beams.generated import read_hypotheses, read_lines
from teaforn_fairseq.beams.metrics import SAMPLES, Metric, SacreBLEU
from teaforn_fairseq.fairseq_fixes.safe_loading import read_checkpoint


def main() -> None:
    """Score, print the tables and keep them as JSON when asked."""
    args = parse_args()
    logging.getLogger("sacrebleu").setLevel(logging.WARNING)  # fairseq has every logger speak
    options = {x: getattr(args, x) for x in ("lowercase", "language", "test_set", "chance")}
    metrics = [METRICS[name](**options) for name in args.metrics]
    try:
        reference = read_lines(args.reference)
        rows = [score_run(*run, args.beams, reference, metrics) for run in args.run]
        add_p_values(rows, args.run, args.beams, reference, metrics)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print("\n\n".join(table(rows, args.beams, metric) for metric in metrics))
    if args.json:
        signatures = {metric.name: metric.signature for metric in metrics}
        result = {"signatures": signatures, "sentences": len(reference), "runs": rows}
        result |= {} if args.chance is None else {"chance": args.chance}
        try:
            write_json(args.json, result)
        except OSError as error:
            raise SystemExit(f"error: --json: {error}") from error


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--reference", type=Path, required=True, help="raw text, a sentence a line")
    parser.add_argument("--beams", type=beam_sizes, required=True, help="as in 1,4")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    parser.add_argument(
        "--metrics", nargs="+", choices=METRICS, default=["bleu"], help="(default: bleu)"
    )
    parser.add_argument("--lowercase", action="store_true", help="score BLEU without case")
    parser.add_argument("--language", default="en", help="of the target, for tokenised BLEU")
    parser.add_argument("--test-set", help="as in wmt14/full:en-de, to name in the signature")
    parser.add_argument("--chance", type=float, help="of --metrics exact, in percent")
    parser.add_argument(
        "--run",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "FOLDER"),
        help="a system; may be given several times",
    )
    args = parser.parse_args()
    if args.chance is not None and (Exact.name not in args.metrics or not 0 <= args.chance <= 100):
        parser.error(
            "--chance: must be from 0 to 100, and goes with --metrics exact; received"
            f" {args.chance:g} with {' '.join(args.metrics)}"
        )
    return args


def beam_sizes(text: str) -> list[int]:
    """Comma-separated beam sizes as numbers."""
    return [int(size) for size in text.split(",")]


def score_run(
    name: str, folder: str, beams: list[int], reference: list[str], metrics: list[Metric]
) -> dict[str, Any]:
    """Scores of one run at each beam, and what its training took.

    Args:
        name: of the system in the table.
        folder: the run's.
        beams: beam sizes; ``<folder>/beam<K>.txt`` must be there for each.
        reference: raw reference sentences.
        metrics: what to score with.

    Returns:
        ``system``, ``updates``, ``training_seconds`` (wall clock, validation and saving included)
        and, for each column of the metrics, its scores by beam.

    Raises:
        ValueError: hypotheses and references do not match one to one.
    """
    scores: dict[str, dict[int, float]] = {}
    for beam in beams:
        hypotheses = read_hypotheses(Path(folder) / f"beam{beam}.txt", len(reference))
        for metric in metrics:
            for column, score in metric.score(hypotheses, reference).items():
                scores.setdefault(column, {})[beam] = round(score, 2)
    seconds, updates = training(Path(folder) / "checkpoint_last.pt")
    return {"system": name, "updates": updates, "training_seconds": seconds, **scores}


def add_p_values(
    rows: list[dict[str, Any]],
    runs: list[list[str]],
    beams: list[int],
    reference: list[str],
    metrics: list[Metric],
) -> None:
    """Give the rows of all runs but the first ``p_value`` by beam, where sacreBLEU is asked for."""
    bleu = next((metric for metric in metrics if isinstance(metric, SacreBLEU)), None)
    if bleu is None or len(runs) == 1:
        return
    for beam in beams:
        files = [Path(folder) / f"beam{beam}.txt" for _, folder in runs]
        systems = [read_hypotheses(file, len(reference)) for file in files]
        for row, p in zip(rows[1:], bleu.p_values(systems, reference), strict=True):
            row.setdefault("p_value", {})[beam] = round(p, 4)


def training(checkpoint: Path) -> tuple[float, int]:
    """Seconds and updates that fairseq counted, over all resumptions.

    Raises:
        ValueError: the file is no checkpoint, or does not tell them.
    """
    state = read_checkpoint(checkpoint)
    try:
        seconds = state["extra_state"]["previous_training_time"]
        return round(seconds, 1), state["optimizer_history"][-1]["num_updates"]
    except KeyError as error:
        raise ValueError(
            f"{checkpoint}: must tell how long training took, as fairseq-train writes it; received"
            f" a checkpoint without {error}."
        ) from None


def table(rows: list[dict[str, Any]], beams: list[int], metric: Metric) -> str:
    """A metric's scores as text, signature below."""
    columns = [(column, beam) for column in metric.columns for beam in beams]
    titles = [f"{metric.columns[column]} beam {beam}" for column, beam in columns]
    chance = [] if not isinstance(metric, Exact) or metric.chance is None else [metric.chance]
    heads = ["system", "updates", *titles, *("chance" for _ in chance), "training"]
    cells = [
        [
            row["system"],
            str(row["updates"]),
            *(f"{row[column][beam]:.2f}" for column, beam in columns),
            *(f"{x:.2f}" for x in chance),
            f"{row['training_seconds']:.0f} s",
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in [heads, *cells]
    ]
    return "\n".join([*lines, metric.signature, *significance(rows, metric)])


def significance(rows: list[dict[str, Any]], metric: Metric) -> list[str]:
    """A line for each row that has ``p_value``, below the table that it belongs to."""
    if not isinstance(metric, SacreBLEU):
        return []
    return [
        f"{row['system']} against {rows[0]['system']}: "
        + ", ".join(f"p = {p:.3f} (beam {beam})" for beam, p in row["p_value"].items())
        + f", paired bootstrap, {SAMPLES} samples"
        for row in rows
        if "p_value" in row
    ]


if __name__ == "__main__":
    main()
