"""The stock Transformer decoder, with an encoder or alone, as the unroll sees it.

B batch, T target length, n real target tokens, C features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from teaforn_fairseq.decoders.base import DecoderAdapter, first
from teaforn_fairseq.packed.encoder import Memory
from teaforn_fairseq.packed.slots import Slots
from teaforn_fairseq.packed.transformer_layers import project_memory, run_layer, say_once, why_stock


@dataclass(frozen=True)
class Batch:
    """What the steps of one batch share.

    Attributes:
        slots: where the real target tokens stand.
        memory: the encoder's output, None for a decoder without one.
        keys_values: those of the encoder's output for each layer, None without; None altogether
            for layers that run their own ``forward``.
    """

    slots: Slots
    memory: Memory | None
    keys_values: list[tuple[Tensor, Tensor] | None] | None


class TransformerAdapter(DecoderAdapter):
    """Any ``TransformerDecoderBase``, so BART's and the language models' too."""

    def prepare(self, slots: Slots, memory: Memory | None) -> Batch:
        """Project the encoder's output to keys and values, once for all steps."""
        reason = why_stock(self.layers)
        if reason:
            say_once("decoder", reason)
            return Batch(slots, memory, None)
        if memory is None:
            return Batch(slots, None, [None] * len(self.layers))
        return Batch(slots, memory, project_memory(self.layers, memory.states, memory.slots))

    def run_layers(self, x: Tensor, batch: Batch) -> Tensor:
        """The Transformer layers over x (n, C), causally masked, to (n, C)."""
        if batch.keys_values is None:
            return self._run_stock(x, batch)
        mask = batch.memory and batch.memory.mask
        for layer, memory in zip(self.layers, batch.keys_values, strict=True):
            x = run_layer(layer, x, batch.slots, memory=memory, memory_mask=mask)
        return x

    def _run_stock(self, x: Tensor, batch: Batch) -> Tensor:
        """The layers' own ``forward`` over rows that are aligned left."""
        x = batch.slots.rows(x).transpose(0, 1)  # n x C -> B x T x C -> T x B x C
        encoder_out = batch.memory and batch.memory.encoder_out
        hidden = None
        if self.decoder.cross_self_attention:
            hidden = x.new_zeros(batch.slots.shape, dtype=torch.bool)
        for layer in self.layers:
            x, _, _ = layer(
                x,
                first(encoder_out, "encoder_out"),
                first(encoder_out, "encoder_padding_mask"),
                self_attn_mask=self.decoder.buffered_future_mask(x),
                # Nothing real stands behind a row, so the future mask hides all padding; only
                # fairseq's attention to source and target at once asks for a mask as well.
                self_attn_padding_mask=hidden,
            )
        return batch.slots.unrows(x.transpose(0, 1))
