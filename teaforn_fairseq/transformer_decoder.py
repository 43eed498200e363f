"""The stock Transformer decoder cut in two: embeddings E and the rest M (method.md, "Notation").

Plain functions on an unchanged fairseq decoder, so that parameters, generation and every option
of the decoder stay the stock ones. ``body(decoder, embed(decoder, w), w, encoder_out)`` equals
``decoder.extract_features(w, encoder_out)[0]``. B batch, T target length, C features.
"""

from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor

EncoderOut = dict[str, list[Tensor]]


def embed(decoder: TransformerDecoderBase, prev_output_tokens: Tensor) -> Tensor:
    """E: token embeddings, scaled, without positions.

    Args:
        decoder: a stock decoder.
        prev_output_tokens: (B, T) token ids w_0..w_{T-1}.

    Returns:
        (B, T, C) embeddings e_0..e_{T-1}, after quant-noise and input projection where the
        decoder has them.
    """
    x = decoder.embed_scale * decoder.embed_tokens(prev_output_tokens)
    if decoder.quant_noise is not None:
        x = decoder.quant_noise(x)
    if decoder.project_in_dim is not None:
        x = decoder.project_in_dim(x)
    return x


def body(
    decoder: TransformerDecoderBase,
    inputs: Tensor,
    prev_output_tokens: Tensor,
    encoder_out: EncoderOut | None,
) -> Tensor:
    """M: positions, dropout, causal layers and final norm over any input vectors.

    Args:
        decoder: a stock decoder.
        inputs: (B, T, C) what stands in the slots, gold embeddings or feedback. Not modified.
        prev_output_tokens: (B, T) token ids; used only to see where padding is.
        encoder_out: the stock encoder's output, or None for a decoder without encoder attention.

    Returns:
        (B, T, C_out) features h_1..h_T, ready for the output projection.
    """
    x = inputs
    if decoder.embed_positions is not None:
        x = x + decoder.embed_positions(prev_output_tokens)
    if decoder.layernorm_embedding is not None:
        x = decoder.layernorm_embedding(x)
    x = decoder.dropout_module(x).transpose(0, 1)  # B x T x C -> T x B x C
    x = _layers(decoder, x, _padding_mask(decoder, prev_output_tokens), encoder_out)
    if decoder.layer_norm is not None:
        x = decoder.layer_norm(x)
    x = x.transpose(0, 1)  # T x B x C -> B x T x C
    if decoder.project_out_dim is not None:
        x = decoder.project_out_dim(x)
    return x


def _layers(
    decoder: TransformerDecoderBase,
    x: Tensor,
    padding_mask: Tensor | None,
    encoder_out: EncoderOut | None,
) -> Tensor:
    memory = _first(encoder_out, "encoder_out")
    memory_padding_mask = _first(encoder_out, "encoder_padding_mask")
    future_mask = decoder.buffered_future_mask(x)
    for layer in decoder.layers:
        x, _, _ = layer(
            x,
            memory,
            memory_padding_mask,
            self_attn_mask=future_mask,
            self_attn_padding_mask=padding_mask,
        )
    return x


def _padding_mask(decoder: TransformerDecoderBase, prev_output_tokens: Tensor) -> Tensor | None:
    mask = prev_output_tokens.eq(decoder.padding_idx)
    return mask if decoder.cross_self_attention or mask.any() else None


def _first(encoder_out: EncoderOut | None, key: str) -> Tensor | None:
    entries = (encoder_out or {}).get(key) or [None]
    return entries[0]
