"""Whether stock fairseq can load what is exported, found out before anything is written.

It builds the model from the options and compares names and shapes, as fairseq will.
"""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch
from fairseq.checkpoint_utils import prune_state_dict
from fairseq.data import Dictionary
from fairseq.models import BaseFairseqModel, build_model
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from torch import Tensor

from teaforn_fairseq.export.stock_checkpoint import stock_cfg
from teaforn_fairseq.export.twin_checkpoint import TwinCheckpoint

ADVICE = "Use a checkpoint as fairseq-train wrote it."
TABLES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")


def require_loadable(checkpoint: TwinCheckpoint) -> None:
    """Stop unless the stock model of the checkpoint's options takes its parameters.

    Raises:
        ValueError: no model can be built of the options, or it has other parameters; names the
            file and the first difference.
    """
    options: Any = Namespace(**stock_cfg(checkpoint.cfg, checkpoint.arch)["model"])
    parameters = dict(checkpoint.parameters)  # fairseq upgrades it in place
    rule = (
        f"{checkpoint.path}: must hold the parameters of the {checkpoint.arch} that its options"
        " describe"
    )
    table = parameters.get(TABLES[1])
    if table is None or table.dim() == 0:
        raise ValueError(f"{rule}; received no table {TABLES[1]}. {ADVICE}")
    try:
        model = _build(options, parameters)
        model.upgrade_state_dict(parameters)
        parameters = prune_state_dict(parameters, options)
    except Exception as error:  # wrong options run fairseq into anything
        raise ValueError(
            f"{checkpoint.path}: its options must be those of a {checkpoint.arch} that fairseq can"
            f" build; received options that end in {type(error).__name__}:"
            f" {str(error).partition(chr(10))[0]}. {ADVICE}"
        ) from None
    difference = next(_differences(model.state_dict(), parameters), None)
    if difference:
        raise ValueError(f"{rule}; received {difference}. {ADVICE}")


def rows(parameters: dict[str, Tensor]) -> list[int]:
    """How many symbols the source and the target dictionary have, by the embedding tables."""
    return [parameters.get(name, parameters[TABLES[1]]).size(0) for name in TABLES]


def stock_model(checkpoint: TwinCheckpoint, parameters: dict[str, Tensor]) -> BaseFairseqModel:
    """The stock model in float32, for evaluation.

    Args:
        checkpoint: gives the options; one that :func:`require_loadable` lets pass.
        parameters: the stock model's state dict.
    """
    options: Any = Namespace(**stock_cfg(checkpoint.cfg, checkpoint.arch)["model"])
    model = _build(options, parameters, device="cpu")
    model.load_state_dict(dict(parameters), strict=True, model_cfg=options)
    return model.float().eval()


def _build(
    options: Any, parameters: dict[str, Tensor], *, device: str = "meta"
) -> BaseFairseqModel:
    dictionaries = []
    for size in rows(parameters):
        dictionary = Dictionary()
        for number in range(size - len(dictionary)):
            dictionary.add_symbol(str(number))
        dictionaries.append(dictionary)
    task = TranslationTask(TranslationConfig(), *dictionaries)
    task.dictionary, task.output_dictionary = dictionaries  # as in language modelling
    try:
        with torch.device(device):  # on meta it takes no memory and no time
            return build_model(options, task)
    except NotImplementedError:  # BART copies its first weights, which takes real ones
        return build_model(options, task)


def _differences(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> Iterator[str]:
    for name, tensor in wanted.items():
        if name not in given:
            yield f"no parameter {name}"
        elif given[name].shape != tensor.shape:
            yield (
                f"parameter {name} of shape {tuple(given[name].shape)} instead of"
                f" {tuple(tensor.shape)}"
            )
        elif given[name].is_floating_point() != tensor.is_floating_point():
            yield f"parameter {name} of type {given[name].dtype} instead of {tensor.dtype}"
    for name in given:
        if name not in wanted:
            yield f"a further parameter {name}"
