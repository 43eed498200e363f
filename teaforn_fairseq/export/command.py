"""Write trained twins for stock fairseq, for CTranslate2 or for Hugging Face's transformers."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from teaforn_fairseq.export import ctranslate2_format, huggingface_format, huggingface_tokenizer
from teaforn_fairseq.export.averaging import average, require_fit, unlike
from teaforn_fairseq.export.destination import FOLDERS, place_of, put_in_place
from teaforn_fairseq.export.dictionaries import Dictionaries, find_dictionaries
from teaforn_fairseq.export.stock_checkpoint import stock_state
from teaforn_fairseq.export.stock_model import require_loadable, rows
from teaforn_fairseq.export.twin_checkpoint import TwinCheckpoint, read_twin
from teaforn_fairseq.files import kind

FORMATS = ("fairseq", *FOLDERS)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``teaforn-export``."""
    args = parse_args(argv)
    try:
        export(
            args.checkpoints,
            args.out,
            output_format=args.format,
            data_dir=args.data_dir,
            sentencepiece_models=args.sentencepiece_model,
            ema=args.ema,
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
        "out",
        type=Path,
        metavar="OUT",
        help=f"a file, or a folder with --format {' or '.join(FOLDERS)}",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="fairseq", help="what to write (default: %(default)s)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="where the format needs dictionaries, the folder with them (default: the folder the"
        " model was trained on)",
    )
    parser.add_argument(
        "--sentencepiece-model",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="with --format huggingface, the subword model, for a tokenizer beside the weights;"
        " given twice, the source's and the target's (default: no tokenizer)",
    )
    parser.add_argument(
        "--ema",
        action="store_true",
        help="take the moving average of the parameters, which training with --store-ema keeps",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace OUT; a model's folder with everything in it",
    )
    return parser.parse_intermixed_args(argv)


def export(
    checkpoints: Sequence[Path],
    out: Path,
    *,
    output_format: str = "fairseq",
    data_dir: Path | None = None,
    sentencepiece_models: Sequence[Path] = (),
    ema: bool = False,
    force: bool = False,
) -> None:
    """Write the mean of the checkpoints for stock fairseq or for another library.

    Prints what was written, and in what the checkpoints were trained otherwise.

    Args:
        checkpoints: at least one, of one ``teaforn_*`` architecture.
        out: the file or folder to write, links followed. It is there as a whole afterwards, or
            untouched.
        output_format: one of ``FORMATS``.
        data_dir: folder with the dictionaries, read for CTranslate2 and for a tokenizer only; None
            takes the training's own.
        sentencepiece_models: for a tokenizer in the format ``"huggingface"``: one, or the
            source's and the target's.
        ema: take the moving averages of the parameters.
        force: replace ``out``.

    Raises:
        ValueError: something given cannot be used.
        OSError: a file cannot be read, or ``out`` cannot be written.
    """
    require_format(output_format, data_dir, sentencepiece_models)
    require_files(checkpoints)
    place = place_of(out, checkpoints, output_format=output_format, force=force)
    twins = [read_twin(path, ema=ema) for path in checkpoints]
    require_loadable(twins[0])
    require_fit(twins)
    if output_format == "huggingface":
        huggingface_format.require_fit(twins[0])
    dictionaries = None
    if output_format == "ctranslate2" or sentencepiece_models:
        dictionaries = find_dictionaries(twins[0].cfg, data_dir, rows(twins[0].parameters))
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".teaforn-export-") as scratch:
        made = Path(scratch, "made")
        write(output_format, twins, dictionaries, sentencepiece_models, made)
        put_in_place(made, place_of(out, checkpoints, output_format=output_format, force=force))
    tell(out, twins, ema=ema)


def require_format(
    output_format: str, data_dir: Path | None, sentencepiece_models: Sequence[Path]
) -> None:
    """Stop unless this format can be written, and every option of it does something.

    Raises:
        ValueError: the format's package is not installed, or an option is given without what it is
            for.
    """
    if output_format == "ctranslate2":
        ctranslate2_format.require_ctranslate2()
    if output_format == "huggingface":
        huggingface_format.require_transformers()
        huggingface_tokenizer.require_models(sentencepiece_models)
    elif sentencepiece_models:
        raise ValueError(
            f"--sentencepiece-model: is for --format huggingface only; received"
            f" {sentencepiece_models[0]} with --format {output_format}. Leave it out."
        )
    if data_dir and output_format != "ctranslate2" and not sentencepiece_models:
        raise ValueError(
            "--data-dir: is for --format ctranslate2, and for --format huggingface with"
            f" --sentencepiece-model; received {data_dir} with --format {output_format}. Leave it"
            " out."
        )


def write(
    output_format: str,
    twins: Sequence[TwinCheckpoint],
    dictionaries: Dictionaries | None,
    sentencepiece_models: Sequence[Path],
    made: Path,
) -> None:
    """Write the mean of the checkpoints to ``made``, a file or a folder.

    Raises:
        ValueError: the format has no place for this model.
        OSError: it could not be written.
    """
    parameters = average(twins)
    if output_format == "huggingface":
        huggingface_format.convert(twins[0], parameters, made)
        if dictionaries:
            huggingface_tokenizer.write(dictionaries, sentencepiece_models, made)
        return
    state = stock_state(twins[0], parameters)
    if dictionaries:
        scratch = made.with_name("checkpoint.pt")
        ctranslate2_format.convert(state, dictionaries, scratch=scratch, folder=made)
    else:
        save(state, made)


def require_files(checkpoints: Sequence[Path]) -> None:
    """Stop unless every checkpoint is a file.

    Raises:
        ValueError: one is not.
    """
    for path in checkpoints:
        found = kind(path) or "nothing there"
        if found != "a file":
            raise ValueError(
                f"{path}: must be a checkpoint written by fairseq-train; received {found}."
            )


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


def tell(out: Path, twins: Sequence[TwinCheckpoint], *, ema: bool) -> None:
    """Print what was written, and what a reader might not expect of it."""
    first, *others = twins
    for other in others:
        differences = unlike(first, other)
        if differences:
            print(
                f"note: {other.path} was trained otherwise than {first.path}:"
                f" {', '.join(differences)}"
            )
    taken = ", moving average of the parameters" if ema else ""
    if not ema and any(twin.has_ema for twin in twins):
        taken = ", parameters as trained; --ema takes their moving average"
    print(f"{out}: {first.arch}, {len(twins)} checkpoint{'s' * (len(twins) > 1)}{taken}")
