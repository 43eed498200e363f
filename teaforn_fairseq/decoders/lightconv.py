"""The stock LightConv and DynamicConv decoder as the unroll sees it.

B batch, T target length, C features.
"""

from torch import Tensor, nn

from teaforn_fairseq.decoders.base import DecoderAdapter, IncrementalState, StockOutput, first


class LightConvAdapter(DecoderAdapter):
    """A ``LightConvDecoder``.

    Its convolutions look back alone and know of no padding. Rows are aligned left, so that none
    in front is read; stock fairseq reads it with ``--left-pad-target``.
    """

    def call_layer(
        self,
        layer: nn.Module,
        x: Tensor,
        encoder_out: StockOutput | None,
        hidden: Tensor | None,
        state: IncrementalState | None,
    ) -> Tensor:
        """A convolutional layer over x (T, B, C); it hides nothing, as in stock."""
        states, padding = (first(encoder_out, f"encoder_{key}") for key in ("out", "padding_mask"))
        return layer(x, states, padding, state)[0]
