"""Score finished runs with sacreBLEU and print them side by side.

A run is a folder with checkpoint_last.pt and, for each beam, beam<K>.txt as fairseq-generate
printed it. Nothing is scored unless every sentence of the reference has its hypothesis.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics import BLEU


def main() -> None:
    """Score, print the table and keep it as JSON when asked."""
    args = parse_args()
    bleu = BLEU()
    try:
        reference = read_lines(args.reference)
        rows = [score_run(*run, args.beams, reference, bleu) for run in args.run]
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    signature = str(bleu.get_signature())
    print(table(rows, args.beams, signature))
    if args.json:
        result = {"signature": signature, "sentences": len(reference), "runs": rows}
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--reference", type=Path, required=True, help="raw text, a sentence a line")
    parser.add_argument("--beams", type=beam_sizes, required=True, help="as in 1,4")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    parser.add_argument(
        "--run",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "FOLDER"),
        help="a system; may be given several times",
    )
    return parser.parse_args()


def beam_sizes(text: str) -> list[int]:
    """Comma-separated beam sizes as numbers."""
    return [int(size) for size in text.split(",")]


def score_run(
    name: str, folder: str, beams: list[int], reference: list[str], bleu: BLEU
) -> dict[str, Any]:
    """BLEU of one run at each beam, and what its training took.

    Args:
        name: of the system in the table.
        folder: the run's.
        beams: beam sizes; ``<folder>/beam<K>.txt`` must be there for each.
        reference: raw reference sentences.
        bleu: the metric.

    Returns:
        ``system``, ``updates``, ``training_seconds`` (wall clock, validation and saving included)
        and ``bleu`` by beam.

    Raises:
        ValueError: hypotheses and references do not match one to one.
    """
    scores = {}
    for beam in beams:
        hypotheses = read_hypotheses(Path(folder) / f"beam{beam}.txt", len(reference))
        scores[beam] = round(bleu.corpus_score(hypotheses, [reference]).score, 2)
    seconds, updates = training(Path(folder) / "checkpoint_last.pt")
    return {"system": name, "updates": updates, "training_seconds": seconds, "bleu": scores}


def training(checkpoint: Path) -> tuple[float, int]:
    """Seconds and updates that fairseq counted, over all resumptions."""
    torch.serialization.add_safe_globals([argparse.Namespace])
    state = torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=True)
    seconds = state["extra_state"]["previous_training_time"]
    return round(seconds, 1), state["optimizer_history"][-1]["num_updates"]


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file, ended by line feeds alone as in fairseq."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def read_hypotheses(path: Path, count: int) -> list[str]:
    """Detokenised hypotheses from fairseq-generate's output, in the order of the test set.

    Raises:
        ValueError: they are not exactly the sentences 0 to ``count - 1``.
    """
    found = {}
    for line in read_lines(path):
        if line.startswith("D-"):
            number, _, text = line[2:].split("\t", 2)
            found[int(number)] = text
    if sorted(found) != list(range(count)):
        raise ValueError(
            f"{path}: {len(found)} hypotheses for {count} references. Generate with"
            " --required-batch-size-multiple 1, or fairseq leaves the last sentences out."
        )
    return [found[number] for number in range(count)]


def table(rows: list[dict[str, Any]], beams: list[int], signature: str) -> str:
    """The rows as text, signature below."""
    heads = ["system", "updates", *(f"BLEU beam {beam}" for beam in beams), "training"]
    cells = [
        [
            row["system"],
            str(row["updates"]),
            *(f"{row['bleu'][beam]:.2f}" for beam in beams),
            f"{row['training_seconds']:.0f} s",
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in [heads, *cells]
    ]
    return "\n".join([*lines, f"sacreBLEU {signature}"])


if __name__ == "__main__":
    main()
