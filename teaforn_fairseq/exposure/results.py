"""Where results go, and writing them."""

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path

import fairseq
import torch

from teaforn_fairseq import __version__
from teaforn_fairseq.exposure import tables
from teaforn_fairseq.exposure.comparing import Cell, as_json
from teaforn_fairseq.exposure.measuring import Figures, Request
from teaforn_fairseq.exposure.picture import draw
from teaforn_fairseq.files import place_of_file, put_whole, require_place

NAME = "exposure"
ENDINGS = ("tsv", "json", "md", "png")
NOTES = """\
Means over the target tokens, padding left out. Of several seeds: their mean and standard deviation;
of a difference, taken seed by seed, the mean and its 95 % t interval. The page docs/exposure.md of
teaforn_fairseq says what each figure means."""


def places_in(out: Path) -> dict[str, Path]:
    """The files to write, by ending; the folder is made.

    Raises:
        ValueError: it cannot be written to, or something that is no file is in the way.
    """
    require_place(out)
    return {ending: place_of_file(out / f"{NAME}.{ending}") for ending in ENDINGS}


def about(args: argparse.Namespace, request: Request) -> dict[str, str | int]:
    """What the results are of."""
    dtype = "as saved" if request.dtype is None else str(request.dtype).removeprefix("torch.")
    return {
        "data": str(args.data),
        "subset": request.subset,
        "steps": args.steps,
        "feedback": args.feedback,
        "prompt end": args.teaforn_prompt_end or "none",
        "words by": args.remove_bpe or "tokens as they are",
        "max tokens": args.max_tokens,
        "precision": dtype,
        "device": request.device.type,
        "versions": f"teaforn_fairseq {__version__}, fairseq {fairseq.__version__},"
        f" torch {torch.__version__}",
    }


def write(
    places: dict[str, Path], cells: Sequence[Cell], references: Figures, told: dict[str, str | int]
) -> None:
    """All results, each whole or as it was before.

    Raises:
        OSError: one cannot be written.
    """
    lines = [f"- {name}: {value}" for name, value in told.items()]
    texts = {
        "tsv": "\n".join(tables.tsv(cells, references)) + "\n",
        "json": json.dumps(as_json(cells, told, references), indent=1) + "\n",
        "md": tables.page(cells, [*lines, "", NOTES], references),
    }
    for ending, text in texts.items():
        put_whole(places[ending], text.encode())
    image = io.BytesIO()
    draw(cells, int(told["steps"]), references).savefig(image, dpi=120, format="png")
    put_whole(places["png"], image.getvalue())
