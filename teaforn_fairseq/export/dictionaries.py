"""The dictionaries that a model was trained with, found for the formats that need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.data import Dictionary
from fairseq.data.data_utils import infer_language_pair


@dataclass(frozen=True)
class Dictionaries:
    """Where a model's dictionaries are.

    Attributes:
        folder: holds ``dict.<source>.txt`` and ``dict.<target>.txt``.
        source: source language.
        target: target language.
    """

    folder: Path
    source: str
    target: str

    def load(self) -> list[Dictionary]:
        """The source's and the target's."""
        return [
            Dictionary.load(str(self.folder / f"dict.{language}.txt"))
            for language in (self.source, self.target)
        ]


def find_dictionaries(
    cfg: dict[str, Any], data_dir: Path | None, sizes: Sequence[int]
) -> Dictionaries:
    """Find the dictionaries the model was trained with.

    Args:
        cfg: fairseq's configuration in plain containers.
        data_dir: the folder that ``--data-dir`` names; None takes the training's own.
        sizes: how many symbols the model knows, in the source and in the target.

    Raises:
        ValueError: the folder does not hold them, or holds those of another model.
    """
    task = cfg.get("task") or {}
    folder = data_dir or Path(utils.split_paths(str(task.get("data")))[0])
    source, target = task.get("source_lang"), task.get("target_lang")
    if folder.is_dir() and not (source and target):
        source, target = infer_language_pair(str(folder)) or (None, None)
    wanted = [folder / f"dict.{language or 'LANG'}.txt" for language in (source, target)]
    if not (source and target and all(path.is_file() for path in wanted)):
        raise ValueError(
            "--data-dir: must be the folder that fairseq-preprocess wrote, with the dictionaries"
            f" {wanted[0].name} and {wanted[1].name}; received {folder}, which does not hold them."
            " Name the folder with --data-dir."
        )
    for path, size in zip(wanted, sizes, strict=True):
        found = _size(path)
        if found != size:
            raise ValueError(
                f"--data-dir: must hold the dictionaries that the model was trained with, here"
                f" {size} symbols in {path.name}; received {folder}, whose has {found}. Name the"
                " training's own folder with --data-dir."
            )
    return Dictionaries(folder, source, target)


def _size(path: Path) -> int:
    try:
        return len(Dictionary.load(str(path)))
    except ValueError as error:
        raise ValueError(
            "--data-dir: must hold dictionaries as fairseq-preprocess writes them; received"
            f" {path}, which cannot be read: {error}"
        ) from None
