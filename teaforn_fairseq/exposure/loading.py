"""A checkpoint as a twin, which can be unrolled, whatever criterion it was trained with."""

from argparse import Namespace
from pathlib import Path
from typing import Any, cast

from fairseq import checkpoint_utils, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import ARCH_MODEL_REGISTRY
from omegaconf import OmegaConf, open_dict

from teaforn_fairseq.models.twins import PREFIX, require_unrollable
from teaforn_fairseq.models.unrollable import Unrollable
from teaforn_fairseq.unroll.steps import UnrollSettings

ENCODER, DECODER = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"


def open_checkpoint(path: Path, data: Path, subset: str) -> tuple[dict[str, Any], Any]:
    """Read and check a checkpoint; nothing is built but its task.

    A stock architecture becomes its twin, which has the same parameters.

    Args:
        path: a file that fairseq-train wrote.
        data: the binarised data to measure on.
        subset: the part of it.

    Returns:
        fairseq's state, and the task with ``subset`` loaded.

    Raises:
        ValueError: it is no such file, there is no twin of its architecture, its embeddings do not
            fit the dictionaries of the data, or the subset is not there.
        OSError: it cannot be read.
    """
    state = checkpoint_utils.load_checkpoint_to_cpu(str(path), {"data": str(data)})
    args = state.pop("args", None)  # fairseq wrote them until 2021
    if args is None and _is_exported(state["cfg"].model):
        args = Namespace(**_plain(state["cfg"].model))
    if args is not None:
        state["cfg"] = convert_namespace_to_omegaconf(args)
    cfg = state["cfg"]
    _as_twin(cfg.model, path)
    try:
        task: Any = tasks.setup_task(cfg.task, from_checkpoint=True)
        task.load_dataset(subset, combine=False, epoch=1, task_cfg=cfg.task)
    except Exception as error:  # fairseq raises plain ones too
        raise ValueError(
            f"{path}: its task must find dictionaries and the subset {subset!r} in the data folder"
            f" {data}; it ended in {type(error).__name__}: {error}. Use the folder that"
            " fairseq-preprocess wrote for this model, or another --gen-subset."
        ) from error
    _require_dictionaries(path, data, task, state["model"])
    return state, task


def load(path: Path, data: Path, subset: str) -> tuple[Any, Any]:
    """The model, a twin on the CPU, and its task with ``subset`` loaded.

    Raises:
        ValueError: as :func:`open_checkpoint`.
    """
    state, task = open_checkpoint(path, data, subset)
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], task=task, state=state
    )
    return model, task


def require_feedback(
    state: dict[str, Any], settings: UnrollSettings, task: Any, path: Path
) -> type[Unrollable]:
    """The checkpoint's class, whose models the unroll's feedback can work with.

    Raises:
        ValueError: it cannot.
    """
    options = Namespace(**_plain(state["cfg"].model))
    model_class = ARCH_MODEL_REGISTRY[_arch(options)]
    if settings.num_steps > 1:
        try:
            width, width_out = model_class.unroll_widths(options)
            settings.feedback.check(width, width_out, len(task.target_dictionary))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return model_class


def _is_exported(options: Any) -> bool:
    """Whether a model's options are the whole command line, but in plain containers."""
    return OmegaConf.is_config(options) and {"arch", "task"} <= options.keys()


def _plain(options: Any) -> dict[str, Any]:
    if isinstance(options, Namespace):
        return vars(options)
    return cast(dict, OmegaConf.to_container(options))


def _arch(options: Any) -> str:
    return str(getattr(options, "_name", None) or getattr(options, "arch", None))


def _as_twin(options: Any, path: Path) -> None:
    """Name the twin in the model's options, in place."""
    arch = _arch(options)
    twin = arch if arch.startswith(PREFIX) else f"{PREFIX}{arch}"
    if twin not in ARCH_MODEL_REGISTRY:
        try:
            require_unrollable(None, arch)
        except ValueError as error:  # the message for training, of which the families fit here
            families = str(error).rpartition("There are ")[2]
            raise ValueError(
                f"{path}: must be a checkpoint of an architecture that can be unrolled; received"
                f" {arch}. There are {families}"
            ) from None
    if isinstance(options, Namespace):
        options.arch = options._name = twin
        return
    with open_dict(options):
        options._name = twin
        if "arch" in options:
            options.arch = twin


def _require_dictionaries(path: Path, data: Path, task: Any, parameters: dict[str, Any]) -> None:
    """Stop unless the embeddings have a row for each symbol."""
    # A language model may predict fewer words than it reads (--output-dictionary-size).
    read = {"source": ENCODER, "target": DECODER} if ENCODER in parameters else {"source": DECODER}
    for side, name in read.items():
        if name not in parameters:
            continue
        rows, symbols = parameters[name].size(0), len(getattr(task, f"{side}_dictionary"))
        if rows != symbols:
            raise ValueError(
                f"{path}: must be a checkpoint for the dictionaries of the data; received {rows:,}"
                f" rows in {name} and {symbols:,} symbols in the {side} dictionary of {data}. Use"
                " the data folder that the model was trained on, or one binarised with its"
                " dictionaries."
            )
