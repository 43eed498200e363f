"""Where an export may be written, and putting it there as a whole."""

import os
from collections.abc import Sequence
from pathlib import Path

from teaforn_fairseq.files import kind

# Formats that write a folder: the file that shows a folder to be theirs, and what it is called.
FOLDERS = {
    "ctranslate2": ("model.bin", "a CTranslate2 model's folder"),
    "huggingface": ("model.safetensors", "a Hugging Face model's folder"),
}


def place_of(out: Path, checkpoints: Sequence[Path], *, output_format: str, force: bool) -> Path:
    """Where ``out`` lies once its links are followed.

    Raises:
        ValueError: it is there and not to be replaced, or has no folder to stand in.
        OSError: links in a circle, or a folder that may not be entered.
    """
    mark, called = FOLDERS.get(output_format, ("", ""))
    place = Path(os.path.realpath(out))
    if not place.parent.is_dir():
        raise ValueError(f"OUT: must lie in a folder that is there; received {out}.")
    found = kind(out)
    if found not in (None, "a file", "a folder"):
        raise ValueError(
            f"OUT: must be a {'folder' if mark else 'file'}, or not be there yet; received"
            f" {found}, {out}. Choose another name."
        )
    if not os.path.lexists(out):
        return place
    if not force:
        raise ValueError(
            f"OUT: must not be there yet; received {out}. Choose another name, or replace it"
            " with --force."
        )
    if found and any(out.samefile(path) for path in checkpoints):
        raise ValueError(f"OUT: must not be one of the checkpoints; received {out}.")
    if found and mark and not (out / mark).is_file():
        raise ValueError(
            f"OUT: --force replaces {called} only; received {out}, which has no {mark} in it."
        )
    if found == "a folder" and not mark:
        raise ValueError(f"OUT: must be a file; received the folder {out}.")
    return place


def put_in_place(made: Path, place: Path) -> None:
    """Rename ``made`` to ``place``; a folder that stands there goes to ``made``'s own folder.

    Raises:
        OSError: it could not be renamed; ``place`` is as it was.
    """
    old = made.with_name("old")
    if place.is_dir():  # os.replace replaces files, not folders
        os.replace(place, old)
    try:
        os.replace(made, place)
    except OSError:
        if old.is_dir():
            os.replace(old, place)
        raise
