"""Write trained twins as a checkpoint of the stock architecture, or as a CTranslate2 model."""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from teaforn_fairseq.export import ctranslate2_format
from teaforn_fairseq.export.averaging import average, require_fit
from teaforn_fairseq.export.stock_checkpoint import read_twin, stock_state

FORMATS = ("fairseq", "ctranslate2")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``teaforn-export``."""
    args = parse_args(argv)
    try:
        export(
            args.checkpoints,
            args.out,
            output_format=args.format,
            data_dir=args.data_dir,
            force=args.force,
        )
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="teaforn-export",
        description="Write a checkpoint of the stock architecture, which fairseq runs without"
        " this plugin. Several checkpoints are averaged.",
    )
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="of a teaforn_* architecture, as fairseq-train wrote it",
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="a file, or a folder with --format ctranslate2"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="fairseq", help="what to write (default: %(default)s)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="with --format ctranslate2, the folder with the dictionaries (default: the folder"
        " the model was trained on)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace OUT; a CTranslate2 folder with everything in it",
    )
    return parser.parse_intermixed_args(argv)


def export(
    checkpoints: Sequence[Path],
    out: Path,
    *,
    output_format: str = "fairseq",
    data_dir: Path | None = None,
    force: bool = False,
) -> None:
    """Write the mean of the checkpoints for stock fairseq or for CTranslate2.

    Args:
        checkpoints: at least one, of one ``teaforn_*`` architecture.
        out: the file or folder to write. It is there as a whole afterwards, or untouched.
        output_format: ``"fairseq"`` or ``"ctranslate2"``.
        data_dir: folder with the dictionaries, read for CTranslate2 only; None takes the
            training's own.
        force: replace ``out``.

    Raises:
        ValueError: something given cannot be used.
        OSError: ``out`` cannot be written.
    """
    to_folder = output_format == "ctranslate2"
    if to_folder:
        ctranslate2_format.require_ctranslate2()
    elif data_dir is not None:
        raise ValueError(
            f"--data-dir: is for --format ctranslate2 only; received {data_dir} with"
            f" --format {output_format}. Leave it out."
        )
    require_files(checkpoints)
    require_writable(out, checkpoints, to_folder=to_folder, force=force)
    twins = [read_twin(path) for path in checkpoints]
    require_fit(twins)
    if to_folder:
        dictionaries = ctranslate2_format.find_dictionaries(twins[0].cfg, data_dir)
    state = stock_state(twins[0], average(twins))
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".teaforn-export-") as scratch:
        made = Path(scratch, "made")
        if to_folder:
            ctranslate2_format.convert(
                state, dictionaries, scratch=Path(scratch, "checkpoint.pt"), folder=made
            )
        else:
            save(state, made)
        require_writable(out, checkpoints, to_folder=to_folder, force=force)
        put_in_place(made, out)
    print(f"{out}: {twins[0].arch}, {len(twins)} checkpoint{'s' * (len(twins) > 1)}")


def require_files(checkpoints: Sequence[Path]) -> None:
    """Stop unless every checkpoint is a file.

    Raises:
        ValueError: one is not.
    """
    for path in checkpoints:
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "nothing there"
            raise ValueError(
                f"{path}: must be a checkpoint written by fairseq-train; received {kind}."
            )


def require_writable(
    out: Path, checkpoints: Sequence[Path], *, to_folder: bool, force: bool
) -> None:
    """Stop unless ``out`` may be written.

    Raises:
        ValueError: it is there and not to be replaced, or has no folder to stand in.
    """
    if not out.parent.is_dir():
        raise ValueError(f"OUT: must lie in a folder that is there; received {out}.")
    if not os.path.lexists(out):
        return
    if not force:
        raise ValueError(
            f"OUT: must not be there yet; received {out}. Choose another name, or replace it"
            " with --force."
        )
    if out.exists() and any(out.samefile(path) for path in checkpoints):
        raise ValueError(f"OUT: must not be one of the checkpoints; received {out}.")
    if to_folder and not (out / "model.bin").is_file():
        raise ValueError(
            f"OUT: --force replaces a CTranslate2 model's folder only; received {out}, which has"
            " no model.bin in it."
        )
    if not to_folder and out.is_dir():
        raise ValueError(f"OUT: must be a file; received the folder {out}.")


def save(state: dict, path: Path) -> None:
    """``torch.save`` with a full disk reported as an OSError.

    Raises:
        OSError: the file could not be written.
    """
    try:
        torch.save(state, path)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise OSError(f"OUT: could not be written: is the disk full? ({reason})") from error


def put_in_place(made: Path, out: Path) -> None:
    """Rename ``made`` to ``out``; a folder that stands there goes to ``made``'s own folder.

    Raises:
        OSError: it could not be renamed; ``out`` is as it was.
    """
    old = made.with_name("old")
    if out.is_dir() and not out.is_symlink():  # os.replace replaces files, not folders
        os.replace(out, old)
    try:
        os.replace(made, out)
    except OSError:
        if old.is_dir():
            os.replace(old, out)
        raise
