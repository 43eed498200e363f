"""The mean of several checkpoints, parameter by parameter."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from teaforn_fairseq.export.twin_checkpoint import TwinCheckpoint

# They change what the parameters mean, and neither names nor shapes of parameters show them.
MEANING = (
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_layers_to_keep",
    "decoder_layers_to_keep",
    "encoder_normalize_before",
    "decoder_normalize_before",
    "encoder_xformers_att_config",
    "decoder_xformers_att_config",
    "activation_fn",
    "no_scale_embedding",
    "no_token_positional_embeddings",
    "share_all_embeddings",
    "share_decoder_input_output_embed",
)
# Their rows stand for words, at either end of the model.
TABLES = ("embed_tokens.weight", "output_projection.weight")
# They say which words the rows of the embedding tables stand for.
LANGUAGES = ("source_lang", "target_lang")


def require_fit(checkpoints: Sequence[TwinCheckpoint]) -> None:
    """Stop unless all checkpoints are of one model.

    A model of unshared layers fits none of shared ones: the layers that are exported served the
    first step alone in the one, and all steps in the other.

    Raises:
        ValueError: they differ in architecture, in languages, in an option that changes what the
            parameters mean, or in a parameter's name or shape; names the file and the first
            difference.
    """
    first, *others = checkpoints
    for other in others:
        difference = next(_differences(first, other), None)
        if difference:
            raise ValueError(
                f"{other.path}: must be a checkpoint of the same model as {first.path};"
                f" received {difference}."
            )


def unlike(first: TwinCheckpoint, other: TwinCheckpoint) -> list[str]:
    """In what two checkpoints that fit were trained otherwise: data, criterion and its options.

    Seeds, lengths of training and the like are not told.
    """
    ours, theirs = (_training(checkpoint.cfg) for checkpoint in (first, other))
    return [
        f"{name} {theirs[name]} instead of {ours[name]}"
        for name in ours
        if name in theirs and theirs[name] != ours[name]
    ]


def average(checkpoints: Sequence[TwinCheckpoint]) -> dict[str, Tensor]:
    """The mean of every parameter over the checkpoints.

    Names that share one tensor in the first checkpoint share one in the result. So do tables that
    are equal in every checkpoint: fairseq writes one of a GPU as often as it has names.

    Args:
        checkpoints: at least one; checkpoints that :func:`require_fit`.

    Returns:
        New tensors in memory, holding nothing but their own elements.
    """
    result: dict[str, Tensor] = {}
    for name in checkpoints[0].parameters:
        other = next((x for x in result if _one(checkpoints, x, name)), None)
        if other is None:
            result[name] = mean([checkpoint.parameters[name] for checkpoint in checkpoints])
        else:
            result[name] = result[other]
    return result


def _one(checkpoints: Sequence[TwinCheckpoint], name: str, other: str) -> bool:
    """Whether two names stand for one tensor."""
    a, b = (checkpoints[0].parameters[x] for x in (name, other))
    if (a.data_ptr(), a.dtype, a.shape, a.stride()) == (b.data_ptr(), b.dtype, b.shape, b.stride()):
        return True
    tables = name.endswith(TABLES) and other.endswith(TABLES) and a.shape == b.shape
    return tables and all(
        torch.equal(*(x.parameters[y] for y in (name, other))) for x in checkpoints
    )


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """The elementwise mean, as fairseq's averaging script computes it.

    Args:
        tensors: at least one, all of one shape, of floating-point numbers.

    Returns:
        The same shape. A single tensor keeps its type. Several in half precision are averaged
        and returned in float32.
    """
    first, *others = tensors
    if not others:
        return first.clone()
    total = first.to(torch.promote_types(first.dtype, torch.float32))
    for other in others:
        total = total + other
    return total / len(tensors)


def _differences(first: TwinCheckpoint, other: TwinCheckpoint) -> Iterator[str]:
    if other.arch != first.arch:
        yield f"architecture {other.arch} instead of {first.arch}"
    if other.unshared != first.unshared:
        kinds = {False: "layers that all steps share", True: "layers of the first step alone"}
        yield f"{kinds[other.unshared]} instead of {kinds[first.unshared]} (--teaforn-unshared)"
    for option in MEANING:
        ours, theirs = (c.cfg["model"].get(option) for c in (first, other))
        if theirs != ours:
            yield f"option {option} {theirs} instead of {ours}"
    for option in LANGUAGES:  # None where the training inferred them from the data
        ours, theirs = ((c.cfg.get("task") or {}).get(option) for c in (first, other))
        if None not in (ours, theirs) and theirs != ours:
            yield f"option {option} {theirs} instead of {ours}"
    for name, tensor in first.parameters.items():
        if name not in other.parameters:
            yield f"no parameter {name}"
        elif _kind(other.parameters[name]) != _kind(tensor):
            yield f"parameter {name} of {_kind(other.parameters[name])} instead of {_kind(tensor)}"
    for name in other.parameters:
        if name not in first.parameters:
            yield f"a further parameter {name}"


def _kind(tensor: Tensor) -> str:
    numbers = "" if tensor.is_floating_point() else "whole numbers in "
    return f"{numbers}shape {tuple(tensor.shape)}"


def _training(cfg: dict[str, Any]) -> dict[str, Any]:
    criterion, task = dict(cfg.get("criterion") or {}), cfg.get("task") or {}
    return {"data": task.get("data"), "criterion": criterion.pop("_name", None), **criterion}
