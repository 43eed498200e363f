"""The stock Transformer decoder cut into parts: E, M and W (method.md, "Notation").

The adapter works on an unchanged fairseq decoder, so that parameters, generation and every option
of the decoder stay the stock ones. With it, ``body(embed(w), positions(w), w, encoder_out)``
equals ``decoder.extract_features(w, encoder_out)[0]``.
B batch, T target length, C features, V vocabulary.
"""

import copy

from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor, nn

EncoderOut = dict[str, list[Tensor]]
IncrementalState = dict[str, dict[str, Tensor | None]]


class OwnLayers(nn.Module):
    """A second set of layers and final norm, as the decoder's are now; E and W stay single.

    Args:
        decoder: a stock decoder; not modified.
    """

    def __init__(self, decoder: TransformerDecoderBase):
        super().__init__()
        self.layers = copy.deepcopy(decoder.layers)
        self.layer_norm = copy.deepcopy(decoder.layer_norm)


class TransformerAdapter:
    """What the unroll and the feedbacks need of a decoder.

    Args:
        decoder: a stock decoder, without adaptive softmax.
        own_layers: layers and final norm to run in place of the decoder's; None for these.
    """

    def __init__(self, decoder: TransformerDecoderBase, own_layers: "OwnLayers | None" = None):
        self.decoder = decoder
        self.layers = (own_layers or decoder).layers
        self.layer_norm = (own_layers or decoder).layer_norm
        self.padding_idx = decoder.padding_idx

    @property
    def table(self) -> Tensor:
        """(V, C_table) the rows of the embedding table, before scaling and projection."""
        return self.decoder.embed_tokens.weight

    def embed(self, tokens: Tensor) -> Tensor:
        """E: embeddings (B, T, C) of token ids (B, T), scaled, without positions."""
        return self.dress(self.decoder.embed_tokens(tokens))

    def dress(self, rows: Tensor) -> Tensor:
        """The linear rest of E: scale, quant-noise and input projection.

        Args:
            rows: (B, T, C_table) rows of the embedding table or mixtures of them.

        Returns:
            (B, T, C) what the decoder reads in these slots.
        """
        x = self.decoder.embed_scale * rows
        if self.decoder.quant_noise is not None:
            x = self.decoder.quant_noise(x)
        if self.decoder.project_in_dim is not None:
            x = self.decoder.project_in_dim(x)
        return x

    def positions(self, tokens: Tensor) -> Tensor | None:
        """Position vectors (B, T, C) of token ids (B, T), zero at padding; None without any."""
        if self.decoder.embed_positions is None:
            return None
        return self.decoder.embed_positions(tokens)

    def body(
        self,
        inputs: Tensor,
        positions: Tensor | None,
        tokens: Tensor,
        encoder_out: EncoderOut | None,
        state: IncrementalState | None = None,
    ) -> Tensor:
        """M: positions, dropout, causal layers and final norm over any input vectors.

        Args:
            inputs: (B, T, C) what stands in the slots, gold embeddings or feedback. Not modified.
            positions: (B, T, C) where the slots stand, or None.
            tokens: (B, T) token ids; used only to see where padding is.
            encoder_out: the stock encoder's output, or None for a decoder without one.
            state: fairseq's incremental state; with it T is 1 and the slots before, none of them
                padding, are in the state.

        Returns:
            (B, T, C_out) features h_1..h_T, ready for the output projection.
        """
        decoder = self.decoder
        x = inputs if positions is None else inputs + positions
        if decoder.layernorm_embedding is not None:
            x = decoder.layernorm_embedding(x)
        x = decoder.dropout_module(x).transpose(0, 1)  # B x T x C -> T x B x C
        x = self._layers(x, tokens, encoder_out, state)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        x = x.transpose(0, 1)  # T x B x C -> B x T x C
        if decoder.project_out_dim is not None:
            x = decoder.project_out_dim(x)
        return x

    def logits(self, features: Tensor) -> Tensor:
        """W: logits (B, T, V) of features (B, T, C_out)."""
        return self.decoder.output_layer(features)

    def _layers(
        self,
        x: Tensor,
        tokens: Tensor,
        encoder_out: EncoderOut | None,
        state: IncrementalState | None,
    ) -> Tensor:
        memory = _first(encoder_out, "encoder_out")
        memory_padding_mask = _first(encoder_out, "encoder_padding_mask")
        whole = state is None  # all slots at once, rather than the next one
        future_mask = self.decoder.buffered_future_mask(x) if whole else None
        padding_mask = self._padding_mask(tokens) if whole else None
        for layer in self.layers:
            x, _, _ = layer(
                x,
                memory,
                memory_padding_mask,
                state,
                self_attn_mask=future_mask,
                self_attn_padding_mask=padding_mask,
            )
        return x

    def _padding_mask(self, tokens: Tensor) -> Tensor | None:
        mask = tokens.eq(self.padding_idx)
        return mask if self.decoder.cross_self_attention or mask.any() else None


def _first(encoder_out: EncoderOut | None, key: str) -> Tensor | None:
    entries = (encoder_out or {}).get(key) or [None]
    return entries[0]
