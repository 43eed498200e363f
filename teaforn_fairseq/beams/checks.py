"""What must hold before anything is translated."""

import hashlib
from pathlib import Path
from typing import Any

from fairseq import options, tasks
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from teaforn_fairseq.beams.cells import refuse_others
from teaforn_fairseq.beams.generated import read_lines
from teaforn_fairseq.beams.plan import PLUGIN, Plan
from teaforn_fairseq.extras import require_extra
from teaforn_fairseq.fairseq_fixes.safe_loading import read_checkpoint
from teaforn_fairseq.files import require_place

PACKAGES = {"scipy": "scipy", "matplotlib": "matplotlib", "mt_thresholds": "mt-thresholds"}
Sides = list[tuple[str, Dictionary]]  # source and target: file in DATA and what it makes
# A row a symbol of the dictionary.
SOURCE_ROWS = ("encoder.embed_tokens.weight",)
TARGET_ROWS = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")
# What would leave sentences out, or print otherwise than is read.
MUST_BE = {
    "skip_invalid_size_inputs_valid_test": False,
    "required_batch_size_multiple": 1,
    "nbest": 1,
    "quiet": False,
    "score_reference": False,
    "results_path": None,
    "distributed_world_size": 1,
    "num_shards": 1,
    "user_dir": str(PLUGIN),
}


def check(plan: Plan) -> dict[Path, dict[str, Any]]:
    """Hold all that was given against its rules.

    Returns:
        What each checkpoint's cells are made of, beside the beam.

    Raises:
        ValueError: something given cannot be used.
        OSError: a file cannot be read.
    """
    rouge = {"rouge_score": "rouge-score"} if "rouge" in plan.metrics else {}
    require_extra("teaforn-beams", "beams", PACKAGES | rouge)
    require_options(plan)
    sides, count = data_of(plan)
    for flag, path in (("--reference", plan.reference), ("--source", plan.source)):
        require_lines(flag, path, count, plan)
    for path in (path for paths in plan.systems.values() for path in paths):
        require_fit(path, sides, plan.data)
    made = made_of(plan)
    require_place(plan.out)
    refuse_others(plan, made)
    return made


def require_options(plan: Plan) -> None:
    """Stop unless fairseq-generate takes the options and does what is read of it."""
    args = arguments(plan)
    ours = {"gen_subset": plan.subset, "beam": plan.beams[0], "data": str(plan.data)}
    ours["path"] = str(next(iter(plan.systems.values()))[0])
    for name, wanted in {**ours, **MUST_BE}.items():
        value = getattr(args, name, wanted)
        if value != wanted:
            raise ValueError(
                f"--{name.replace('_', '-')}: must stay {wanted} behind --, so that every sentence"
                f" is translated alike; received {value}. Leave it out."
            )


def arguments(plan: Plan) -> Any:
    """fairseq-generate's, as it reads them."""
    parser = options.get_generation_parser()
    words = plan.words(next(iter(plan.systems.values()))[0], plan.beams[0])
    return options.parse_args_and_arch(parser, words)


def data_of(plan: Plan) -> tuple[Sides, int]:
    """The dictionaries, and how many sentences the subset has.

    Raises:
        ValueError: there is no such data.
    """
    cfg = convert_namespace_to_omegaconf(arguments(plan))
    try:
        task = tasks.setup_task(cfg.task)
        task.load_dataset(plan.subset)
    except Exception as error:  # fairseq raises plain ones too
        raise ValueError(
            f"DATA: must be a folder that fairseq-preprocess wrote, with --gen-subset {plan.subset}"
            f" in it; received {plan.data}: {error}"
        ) from None
    names = [getattr(task.cfg, f"{side}_lang", None) for side in ("source", "target")]
    files = [f"dict.{name}.txt" if name else "dict.txt" for name in names]
    sides = list(zip(files, (task.source_dictionary, task.target_dictionary), strict=True))
    return sides, len(task.dataset(plan.subset))


def require_lines(flag: str, path: Path | None, count: int, plan: Plan) -> None:
    """Stop unless a text can be read and has as many lines as the subset has sentences."""
    if path is None:
        return
    try:
        lines = len(read_lines(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"{flag}: must be a UTF-8 text file; received {path} ({reason}). Name another one."
        ) from None
    if lines != count:
        raise ValueError(
            f"{flag}: must have a line for each of the {count} sentences of {plan.subset} in"
            f" {plan.data}; received {lines} lines in {path}."
        )


def require_fit(path: Path, sides: Sides, data: Path) -> None:
    """Stop unless a file is a checkpoint for these dictionaries, source's and target's."""
    state = read_checkpoint(path)
    for names, (file, dictionary) in zip((SOURCE_ROWS, TARGET_ROWS), sides, strict=True):
        for rows in (state["model"][name] for name in names if name in state["model"]):
            if len(rows) != len(dictionary):
                raise ValueError(
                    f"{path}: must be trained with the dictionaries of {data}; received a"
                    f" checkpoint for {len(rows)} symbols where {file} makes"
                    f" {len(dictionary)}."
                )
        there = trained_with(state, file)
        symbols = Dictionary.load(str(there)).symbols if there else []
        if symbols != dictionary.symbols[: len(symbols)]:  # a task may add some
            raise ValueError(
                f"{path}: must be trained with the dictionaries of {data}; received a checkpoint"
                f" trained with {there}, which has other symbols."
            )


def trained_with(state: dict[str, Any], file: str) -> Path | None:
    """A side's dictionary of a checkpoint's training.

    Returns:
        None where it is not here any more, or was named from a folder that is not known.
    """
    task = (state.get("cfg") or {}).get("task")
    folder = task.get("data") if isinstance(task, dict) else None
    path = Path(folder, file) if isinstance(folder, str) else None
    return path if path and path.is_absolute() and path.is_file() else None


def made_of(plan: Plan) -> dict[Path, dict[str, Any]]:
    """By checkpoint what decides its hypotheses and their scores, the beam aside."""
    binarised = [*plan.data.glob(f"{plan.subset}.*"), *plan.data.glob("dict.*")]
    common = {
        "data": hashlib.sha256("".join(map(digest, sorted(binarised))).encode()).hexdigest(),
        "reference": digest(plan.reference),
        "source": plan.source and digest(plan.source),
    }
    paths = {path for paths in plan.systems.values() for path in paths}
    return {path: {"checkpoint": digest(path), **common} for path in paths}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
