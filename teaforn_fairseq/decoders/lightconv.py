"""The stock LightConv and DynamicConv decoder as the unroll sees it.

B batch, T target length, C features.
"""

from torch import Tensor

from teaforn_fairseq.decoders.base import DecoderAdapter, EncoderOut, IncrementalState, first


class LightConvAdapter(DecoderAdapter):
    """A ``LightConvDecoder``.

    Its convolutions look back alone and know of no padding, so that padding behind a target
    changes nothing, while padding in front of it is read, in every step as in stock fairseq.
    """

    def run_layers(
        self,
        x: Tensor,
        tokens: Tensor,
        encoder_out: EncoderOut | None,
        state: IncrementalState | None,
    ) -> Tensor:
        """The convolutional layers over x (T, B, C) to (T, B, C)."""
        memory = first(encoder_out, "encoder_out")
        memory_padding_mask = first(encoder_out, "encoder_padding_mask")
        for layer in self.layers:
            x, _ = layer(x, memory, memory_padding_mask, state)
        return x
