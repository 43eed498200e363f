"""The mean of several checkpoints, parameter by parameter."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from teaforn_fairseq.export.stock_checkpoint import TwinCheckpoint

# They change what the parameters mean, and neither names nor shapes of parameters show them.
MEANING = (
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_layers_to_keep",
    "decoder_layers_to_keep",
    "activation_fn",
    "no_scale_embedding",
    "no_token_positional_embeddings",
    "share_all_embeddings",
    "share_decoder_input_output_embed",
)


def require_fit(checkpoints: Sequence[TwinCheckpoint]) -> None:
    """Stop unless all checkpoints are of one model.

    Raises:
        ValueError: they differ in architecture, in an option that changes what the parameters
            mean, or in a parameter's name or shape; names the file and the first difference.
    """
    first, *others = checkpoints
    for other in others:
        difference = next(_differences(first, other), None)
        if difference:
            raise ValueError(
                f"{other.path}: must be a checkpoint of the same model as {first.path};"
                f" received {difference}."
            )


def average(checkpoints: Sequence[TwinCheckpoint]) -> dict[str, Tensor]:
    """The mean of every parameter over the checkpoints.

    Names that share one tensor in the first checkpoint share one in the result.

    Args:
        checkpoints: at least one; checkpoints that :func:`require_fit`.

    Returns:
        New tensors in memory, holding nothing but their own elements.
    """
    result: dict[str, Tensor] = {}
    seen: dict[tuple, Tensor] = {}
    for name, tensor in checkpoints[0].parameters.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if place not in seen:
            seen[place] = mean([checkpoint.parameters[name] for checkpoint in checkpoints])
        result[name] = seen[place]
    return result


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """The elementwise mean, as fairseq's averaging script computes it.

    Args:
        tensors: at least one, all of one shape, all floating or none.

    Returns:
        The same shape. A single tensor keeps its type. Several in half precision are averaged
        and returned in float32, whole numbers are rounded down.
    """
    first, *others = tensors
    if not others:
        return first.clone()
    floating = first.is_floating_point()
    total = first.to(torch.promote_types(first.dtype, torch.float32 if floating else torch.int64))
    for other in others:
        total = total + other
    if floating:
        return total / len(tensors)
    return total.div(len(tensors), rounding_mode="floor").to(first.dtype)


def _differences(first: TwinCheckpoint, other: TwinCheckpoint) -> Iterator[str]:
    if other.arch != first.arch:
        yield f"architecture {other.arch} instead of {first.arch}"
    for option in MEANING:
        ours, theirs = (c.cfg["model"].get(option) for c in (first, other))
        if theirs != ours:
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
