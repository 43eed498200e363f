"""What a decoder must offer to be unrolled: E, M and W (method.md, "Notation").

An adapter works on an unchanged fairseq decoder, so that parameters, generation and every option
of the decoder stay the stock ones. With it, ``decoder(w, encoder_out)[0]`` equals
``logits(body(embed(w), positions(w), w, encoder_out))``.
B batch, T target length, C features, V vocabulary.
"""

import copy
from abc import ABC, abstractmethod

from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor, nn

EncoderOut = dict[str, list[Tensor]]
IncrementalState = dict[str, dict[str, Tensor | None]]


class OwnLayers(nn.Module):
    """A second set of layers and final norm, as the decoder's are now; E and W stay single.

    Args:
        decoder: a stock decoder; not modified.
    """

    def __init__(self, decoder: FairseqIncrementalDecoder):
        super().__init__()
        self.layers = copy.deepcopy(decoder.layers)
        self.layer_norm = copy.deepcopy(decoder.layer_norm)


class DecoderAdapter(ABC):
    """What the unroll and the feedbacks need of a decoder.

    It fits fairseq's decoders that are an embedding, positions, a stack of layers, a final norm
    and an output projection; how the layers are called is left to the subclass.

    Args:
        decoder: a stock decoder, without adaptive softmax or adaptive input.
        own_layers: layers and final norm to run in place of the decoder's; None for these.
    """

    def __init__(self, decoder: FairseqIncrementalDecoder, own_layers: OwnLayers | None = None):
        self.decoder = decoder
        self.layers = (own_layers or decoder).layers
        self.layer_norm = (own_layers or decoder).layer_norm
        self.padding_idx = decoder.embed_tokens.padding_idx

    @property
    def table(self) -> Tensor:
        """(V, C_table) the rows of the embedding table, before scaling and projection."""
        rows, words = self.decoder.embed_tokens.weight, self.decoder.output_projection.weight
        # A language model may predict the most frequent words only (--output-dictionary-size).
        return rows if len(rows) == len(words) else rows[: len(words)]

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
        x = self._through("quant_noise", self.decoder.embed_scale * rows)
        return self._through("project_in_dim", x)

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
        x = inputs if positions is None else inputs + positions
        x = self._through("layernorm_embedding", x)
        x = self.decoder.dropout_module(x).transpose(0, 1)  # B x T x C -> T x B x C
        x = self.run_layers(x, tokens, encoder_out, state)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        x = x.transpose(0, 1)  # T x B x C -> B x T x C
        return self._through("project_out_dim", x)

    @abstractmethod
    def run_layers(
        self,
        x: Tensor,
        tokens: Tensor,
        encoder_out: EncoderOut | None,
        state: IncrementalState | None,
    ) -> Tensor:
        """``self.layers`` over x (T, B, C), each slot seeing those before it, to (T, B, C)."""

    def logits(self, features: Tensor) -> Tensor:
        """W: logits (B, T, V) of features (B, T, C_out)."""
        return self.decoder.output_projection(features)

    def _through(self, name: str, x: Tensor) -> Tensor:
        """x through the decoder's module of this name, or unchanged where it has none."""
        module = getattr(self.decoder, name, None)
        return x if module is None else module(x)


def first(encoder_out: EncoderOut | None, key: str) -> Tensor | None:
    """The only entry under this key of a stock encoder's output, or None."""
    entries = (encoder_out or {}).get(key) or [None]
    return entries[0]
