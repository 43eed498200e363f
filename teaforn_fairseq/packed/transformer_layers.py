"""fairseq's Transformer layers over the real tokens alone, with PyTorch's fused attention.

The same arithmetic as the stock layers', for the options that most models use: keys and values
of the encoder's output are made once for all unroll steps, attention never forms its weights, and
padding is projected by attention's output alone (:func:`_attend`). Layers with any other option
are run by their own ``forward`` (:func:`why_stock`).

Joining projections into one matrix product was tried and left out: it saved 1 % of a step on a
CPU and kept a copy of every joined weight for the backward pass.
B batch, T length, n real tokens, C features, H heads, D = C / H.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.modules import FairseqDropout, MultiheadAttention
from fairseq.modules.transformer_layer import (
    TransformerDecoderLayer,
    TransformerDecoderLayerBase,
    TransformerEncoderLayer,
    TransformerEncoderLayerBase,
)
from torch import Tensor, nn

from teaforn_fairseq.packed.packing import Packing

Layer = Any  # one of these; fairseq has no types
KeysAndValues = tuple[Tensor, Tensor]
KNOWN_LAYERS = (
    TransformerDecoderLayer,
    TransformerDecoderLayerBase,
    TransformerEncoderLayer,
    TransformerEncoderLayerBase,
)
# Parts of a decoder layer that are None unless an option asks for them.
EXTRAS = {
    "c_attn": "--scale-heads",
    "attn_ln": "--scale-attn",
    "ffn_layernorm": "--scale-fc",
    "w_resid": "--scale-resids",
}
logger = logging.getLogger(__name__)


@cache
def say_once(part: str, reason: str) -> None:
    """Log, once in a process, that a part of the model is run by fairseq's own slower code."""
    logger.info("the %s runs fairseq's own layers, which are slower, because of %s", part, reason)


def why_stock(layers: nn.ModuleList) -> str | None:
    """Why these layers must be run by their own ``forward``; None if they need not."""
    if type(layers) is not nn.ModuleList:
        return "LayerDrop"
    for layer in layers:
        if type(layer) not in KNOWN_LAYERS:
            return f"a layer of class {type(layer).__name__}"
        reason = _option_of(layer) or _change_of(layer)
        if reason:
            return reason
    return None


def _option_of(layer: Layer) -> str | None:
    if getattr(layer, "cross_self_attention", False):
        return "--cross-self-attention"
    if getattr(layer, "return_fc", False):
        return "the feed-forward results"
    for name, option in EXTRAS.items():
        if getattr(layer, name, None) is not None:
            return option
    for attention in (layer.self_attn, getattr(layer, "encoder_attn", None)):
        if attention is None:
            continue
        if type(attention) is not MultiheadAttention or attention.use_xformers:
            return "an attention of its own"
        if (
            attention.bias_k is not None
            or attention.add_zero_attn
            or attention.skip_embed_dim_check
        ):
            return "an attention with extra keys or pruned heads"
    return None


def _change_of(layer: Layer) -> str | None:
    """What was done to the layer after it was built, as fairseq and users do it."""
    for module in layer.modules():
        if "forward" in vars(module):
            return "--checkpoint-activations, or another forward of their own"
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            return "quant-noise, or other hooks"
        if isinstance(module, nn.Linear) and type(module) is not nn.Linear:
            return f"a projection of class {type(module).__name__}"
    return None


def run_layer(
    layer: Layer,
    x: Tensor,
    packing: Packing,
    *,
    mask: Tensor | None = None,
    before: KeysAndValues | None = None,
    keep: list[KeysAndValues] | None = None,
    source: KeysAndValues | None = None,
    source_mask: Tensor | None = None,
) -> Tensor:
    """One encoder or decoder layer, equal to its ``forward``.

    Args:
        layer: one for which :func:`why_stock` has no objection.
        x: (n, C) the real tokens.
        packing: where they stand.
        mask: (B, 1, 1 or T, T) bool, true where a row has a token to attend to; None for causal
            attention, which needs no other mask because nothing real stands behind a row. With
            ``before`` (B, 1, T, P + T).
        before: keys and values (B, H, P, D) of tokens in front of x, which x attends to as well.
        keep: gets those of x.
        source: this layer's entry of :func:`project_source`; None without encoder attention.
        source_mask: (B, 1, 1, S) bool, true where there is a source token.

    Returns:
        (n, C).
    """
    norm = layer.self_attn_layer_norm
    x = _residual(layer, norm, x, _attend_to_itself, packing, mask, before, keep)
    if source is not None:
        norm = layer.encoder_attn_layer_norm
        x = _residual(layer, norm, x, _attend_to_source, packing, source, source_mask)
    return _residual(layer, layer.final_layer_norm, x, _feed_forward)


def _residual(
    layer: Layer,
    norm: Callable[[Tensor], Tensor],
    x: Tensor,
    body: Callable[..., Tensor],
    *args: Any,
) -> Tensor:
    y = body(layer, norm(x) if layer.normalize_before else x, *args)
    y = _drop(layer.dropout_module, y)
    # Into y, which nobody reads again; but autocast adds half precision to float32.
    x = y.add_(x) if y.dtype == x.dtype else x + y
    return x if layer.normalize_before else norm(x)


def _drop(dropout: FairseqDropout, x: Tensor, *, kept: bool = False) -> Tensor:
    """Dropout that keeps a mask of one byte an entry; F.dropout's is x's size on a CPU.

    It may be done in x itself, unless x is ``kept`` for the backward pass of what made it.
    """
    rate = _rate(dropout)
    if rate == 0:
        return x
    if not x.is_cpu or rate == 1 or not _draws_one_by_one():
        return torch.native_dropout(x, rate, True)[0]
    # The mask that native_dropout would draw, in half of its time and in pieces that fit a cache.
    mask = torch.empty(x.shape, dtype=torch.bool)
    pieces = mask.flatten().split(2**15)
    uniform = torch.empty(len(pieces[0]), dtype=torch.float64)
    for piece in pieces:
        torch.lt(uniform[: len(piece)].uniform_(), 1 - rate, out=piece)
    return (x * mask if kept else x.mul_(mask)).mul_(1 / (1 - rate))


@cache
def _draws_one_by_one() -> bool:
    """Whether PyTorch makes masks of its uniform numbers; on Intel's CPUs it has faster ones."""
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    mask = torch.empty(1000, dtype=torch.bool).bernoulli_(0.7, generator=first)
    uniform = torch.rand(1000, dtype=torch.float64, generator=second)
    return torch.equal(mask, uniform < 0.7)


def _rate(dropout: FairseqDropout) -> float:
    return dropout.p if dropout.training or dropout.apply_during_inference else 0.0


def _attend_to_itself(
    layer: Layer,
    x: Tensor,
    packing: Packing,
    mask: Tensor | None,
    before: KeysAndValues | None,
    keep: list[KeysAndValues] | None,
) -> Tensor:
    attention = layer.self_attn
    q = _heads(packing.rows(attention.q_proj(x)), attention)
    k, v = _keys_and_values(attention, x, packing)
    if keep is not None:
        keep.append((k, v))
    if before is not None:
        k, v = (torch.cat(parts, dim=2) for parts in zip(before, (k, v), strict=True))
    return _attend(attention, q, k, v, packing, mask=mask, causal=mask is None)


def _attend_to_source(
    layer: Layer,
    x: Tensor,
    packing: Packing,
    source: KeysAndValues,
    mask: Tensor | None,
) -> Tensor:
    attention = layer.encoder_attn
    q = _heads(packing.rows(attention.q_proj(x)), attention)
    return _attend(attention, q, *source, packing, mask=mask)


def _heads(rows: Tensor, attention: MultiheadAttention) -> Tensor:
    return rows.unflatten(2, (attention.num_heads, -1)).transpose(
        1, 2
    )  # B x T x C -> B x H x T x D


def _attend(
    attention: MultiheadAttention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    packing: Packing,
    *,
    mask: Tensor | None,
    causal: bool = False,
) -> Tensor:
    """Queries (B, H, T, D) over keys and values (B, H, S, D), to the real tokens (n, C)."""
    rate = _rate(attention.dropout_module)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate, is_causal=causal)
    # Padding goes through the projection, so that what attention keeps for its backward pass
    # serves this product too, without a copy.
    return packing.unrows(attention.out_proj(y.transpose(1, 2).flatten(2)))


def _feed_forward(layer: Layer, x: Tensor) -> Tensor:
    y = layer.fc1(x)
    y = y.relu_() if layer.activation_fn is F.relu else layer.activation_fn(y)
    return layer.fc2(_drop(layer.activation_dropout_module, y, kept=True))


def _keys_and_values(attention: MultiheadAttention, x: Tensor, packing: Packing) -> KeysAndValues:
    k, v = attention.k_proj(x), attention.v_proj(x)
    return _heads(packing.rows(k), attention), _heads(packing.rows(v), attention)


def run_before(layers: Iterable[Layer], x: Tensor, packing: Packing) -> list[KeysAndValues]:
    """Keys and values of tokens that come before all others, at each layer.

    Args:
        layers: of a decoder without an encoder.
        x: (p, C) what goes into the first of them.
        packing: where it stands.

    Returns:
        Keys and values of each layer, (B, H, P, D) each.
    """
    found: list[KeysAndValues] = []
    *layers, last = layers
    for layer in layers:
        x = run_layer(layer, x, packing, keep=found)
    # What comes out of the last layer nobody reads.
    x = last.self_attn_layer_norm(x) if last.normalize_before else x
    return [*found, _keys_and_values(last.self_attn, x, packing)]


def project_source(
    layers: Iterable[Layer], states: Tensor, packing: Packing
) -> list[KeysAndValues | None]:
    """Keys and values of the encoder's output for all layers.

    Args:
        layers: decoder layers.
        states: (m, C) the encoder's output for the m real source tokens.
        packing: where these stand.

    Returns:
        Keys and values of each layer, (B, H, S, D) each; None for one without encoder attention.
    """
    attentions = (layer.encoder_attn for layer in layers)
    return [attention and _keys_and_values(attention, states, packing) for attention in attentions]
