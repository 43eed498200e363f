"""The stock Transformer decoder, with an encoder or alone, as the unroll sees it.

B batch, T target length, C features.
"""

from torch import Tensor

from teaforn_fairseq.decoders.base import DecoderAdapter, EncoderOut, IncrementalState, first


class TransformerAdapter(DecoderAdapter):
    """Any ``TransformerDecoderBase``, so BART's and the language models' too."""

    def run_layers(
        self,
        x: Tensor,
        tokens: Tensor,
        encoder_out: EncoderOut | None,
        state: IncrementalState | None,
    ) -> Tensor:
        """The Transformer layers over x (T, B, C), causally masked, to (T, B, C)."""
        memory = first(encoder_out, "encoder_out")
        memory_padding_mask = first(encoder_out, "encoder_padding_mask")
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
