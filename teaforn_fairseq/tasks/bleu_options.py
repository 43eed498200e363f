"""Checks of ``teaforn_translation``'s options, before anything is trained or loaded for it."""

import json
from pathlib import Path
from typing import Any

METRIC = "bleu_beam"


def parse_beams(text: str | None) -> tuple[int, ...]:
    """Beam sizes from a comma-separated list; none for None.

    Raises:
        ValueError: the list is empty, or an entry is not a whole number, below 1 or repeated.
    """
    if text is None:
        return ()
    rule = "must be different whole numbers, at least 1, separated by commas"
    error = ValueError(f"--eval-bleu-beams: {rule}, such as 1,4,8; received {text!r}.")
    try:
        beams = tuple(int(beam) for beam in text.split(","))
    except ValueError:
        raise error from None
    if min(beams) < 1 or len(set(beams)) < len(beams):
        raise error
    return beams


def parse_json(flag: str, text: str | None) -> dict[str, Any]:
    """The options that a flag takes as one JSON object; none for None.

    Raises:
        ValueError: the text is no JSON object.
    """
    try:
        options = json.loads(text or "{}")
    except json.JSONDecodeError:
        options = None
    if not isinstance(options, dict):
        raise ValueError(
            f"{flag}: must be a JSON object, such as '{{\"lenpen\": 0.6}}'; received {text}."
        )
    return options


def check_references(path: str | None, beams: tuple[int, ...], valid_subset: str) -> None:
    """Refuse ``--eval-bleu-references`` where nothing reads them, or more than one set would.

    Raises:
        ValueError: they are given without beams, or with several validation sets.
    """
    if path is None:
        return
    if not beams:
        raise ValueError(
            "--eval-bleu-references: is read only with --eval-bleu-beams; received"
            f" {path} without it. Name the beams, such as --eval-bleu-beams 1,4."
        )
    if "," in valid_subset:
        raise ValueError(
            "--eval-bleu-references: belongs to one validation set; received --valid-subset"
            f" {valid_subset}. Name one, or leave the references out."
        )


def check_metric(metric: str, maximize: bool, beams: str | None) -> None:
    """Refuse a best-checkpoint metric of ours that would fail, or keep the worst checkpoint.

    Raises:
        ValueError: the metric's beam is not validated, or the metric is to be minimised.
    """
    if not metric.startswith(METRIC):
        return
    if metric not in {f"{METRIC}{beam}" for beam in parse_beams(beams)}:
        raise ValueError(
            "--best-checkpoint-metric: BLEU must be that of a beam in --eval-bleu-beams; received"
            f" {metric} with --eval-bleu-beams {beams}."
        )
    if not maximize:
        raise ValueError(
            f"--best-checkpoint-metric: {metric} must go with --maximize-best-checkpoint-metric,"
            f" or the checkpoint with the lowest BLEU is kept; received {metric} without it."
        )


def read_references(path: str, num_sentences: int) -> list[str]:
    """Read raw references, one line a sentence.

    Raises:
        ValueError: there is no such file, or it has another number of lines.
    """
    if not Path(path).is_file():
        raise ValueError(f"--eval-bleu-references: must be a text file; received {path}.")
    # Not splitlines(): a line may hold Unicode separators, which fairseq does not split at.
    lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if len(lines) != num_sentences:
        raise ValueError(
            "--eval-bleu-references: must have one line for each sentence of the validation set,"
            f" {num_sentences}; received {path} with {len(lines)}."
        )
    return lines
