"""What a decoder must offer to be unrolled: E, M and W (method.md, "Notation").

An adapter works on an unchanged fairseq decoder, so that parameters, generation and every option
of the decoder stay the stock ones. With it, ``decoder(w, encoder_out)[0]`` at the real tokens
equals ``logits(body(embed(w), positions(w), prepare(slots, encoder_out)))``.
B batch, T target length, n real target tokens, C features, V vocabulary.
"""

import copy
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor, nn

from teaforn_fairseq.packed.shared_table import look_up
from teaforn_fairseq.packed.slots import Slots

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
        self.projection = decoder.output_projection.weight

    @property
    def table(self) -> Tensor:
        """(V, C_table) the rows of the embedding table, before scaling and projection."""
        rows, words = self.decoder.embed_tokens.weight, self.decoder.output_projection.weight
        # A language model may predict the most frequent words only (--output-dictionary-size).
        return rows if len(rows) == len(words) else rows[: len(words)]

    def look_up(self, *tokens: Tensor) -> list[Tensor]:
        """Rows (B, T, C_table) of the embedding table for token ids (B, T), of any streams.

        Where the table is the output projection too, :attr:`projection` becomes the one whose
        gradient holds that of all these rows (:mod:`teaforn_fairseq.packed.shared_table`).
        """
        table = self.decoder.embed_tokens
        if type(table) is not nn.Embedding or table.weight is not self.projection:
            return [table(ids) for ids in tokens]
        flat = torch.cat([ids.flatten() for ids in tokens])
        self.projection, rows, _ = look_up(table.weight, flat, table.padding_idx)
        parts = rows.split([ids.numel() for ids in tokens])
        return [part.view(*ids.shape, -1) for part, ids in zip(parts, tokens, strict=True)]

    def embed(self, tokens: Tensor) -> Tensor:
        """E: embeddings (..., C) of token ids (...), scaled, without positions."""
        return self.dress(self.decoder.embed_tokens(tokens))

    def dress(self, rows: Tensor) -> Tensor:
        """The linear rest of E: scale, quant-noise and input projection.

        Args:
            rows: (..., C_table) rows of the embedding table or mixtures of them.

        Returns:
            (..., C) what the decoder reads in these slots.
        """
        x = self._through("quant_noise", self.decoder.embed_scale * rows)
        return self._through("project_in_dim", x)

    def positions(self, tokens: Tensor) -> Tensor | None:
        """Position vectors (B, T, C) of token ids (B, T), zero at padding; None without any."""
        if self.decoder.embed_positions is None:
            return None
        return self.decoder.embed_positions(tokens)

    @abstractmethod
    def prepare(self, slots: Slots, encoder_out: Any) -> Any:
        """What all unroll steps share of a batch, made once.

        Args:
            slots: where its n real target tokens stand.
            encoder_out: the stock encoder's output, or None for a decoder without one.

        Returns:
            What :meth:`body` takes as ``batch``.
        """

    def body(self, inputs: Tensor, positions: Tensor | None, batch: Any) -> Tensor:
        """M: positions, dropout, causal layers and final norm over any input vectors.

        Args:
            inputs: (n, C) what stands in the slots, gold embeddings or feedback. Not modified.
            positions: (n, C) where the slots stand, or None.
            batch: what :meth:`prepare` made of the batch.

        Returns:
            (n, C_out) features, ready for the output projection.
        """
        return self._leave(self.run_layers(self._enter(inputs, positions), batch))

    def next_slot(
        self, inputs: Tensor, positions: Tensor | None, encoder_out: Any, state: IncrementalState
    ) -> Tensor:
        """M over the next slot of every target, by the stock layers.

        Args:
            inputs: (B, 1, C) what stands in the slot. Not modified.
            positions: (B, 1, C) where it stands, or None.
            encoder_out: the stock encoder's output, or None.
            state: fairseq's incremental state, which holds the slots before; none was padding.

        Returns:
            (B, 1, C_out) features.
        """
        x = self._enter(inputs, positions).transpose(0, 1)  # B x 1 x C -> 1 x B x C
        memory = first(encoder_out, "encoder_out")
        memory_padding_mask = first(encoder_out, "encoder_padding_mask")
        for layer in self.layers:
            x = layer(x, memory, memory_padding_mask, state)[0]
        return self._leave(x.transpose(0, 1))

    def _enter(self, inputs: Tensor, positions: Tensor | None) -> Tensor:
        x = inputs if positions is None else inputs + positions
        return self.decoder.dropout_module(self._through("layernorm_embedding", x))

    def _leave(self, x: Tensor) -> Tensor:
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return self._through("project_out_dim", x)

    @abstractmethod
    def run_layers(self, x: Tensor, batch: Any) -> Tensor:
        """``self.layers`` over x (n, C), each slot seeing those before it, to (n, C)."""

    def logits(self, features: Tensor) -> Tensor:
        """W: logits (..., V) of features (..., C_out)."""
        return F.linear(features, self.projection, self.decoder.output_projection.bias)

    def _through(self, name: str, x: Tensor) -> Tensor:
        """x through the decoder's module of this name, or unchanged where it has none."""
        module = getattr(self.decoder, name, None)
        return x if module is None else module(x)


def first(encoder_out: EncoderOut | None, key: str) -> Tensor | None:
    """The only entry under this key of a stock encoder's output, or None."""
    entries = (encoder_out or {}).get(key) or [None]
    return entries[0]
