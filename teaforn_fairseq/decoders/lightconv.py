"""The stock LightConv and DynamicConv decoder as the unroll sees it.

B batch, T target length, n real target tokens, C features.
"""

from torch import Tensor

from teaforn_fairseq.decoders.base import DecoderAdapter, first
from teaforn_fairseq.packed.encoder import Memory
from teaforn_fairseq.packed.slots import Slots


class LightConvAdapter(DecoderAdapter):
    """A ``LightConvDecoder``.

    Its convolutions look back alone and know of no padding. Rows are aligned left, so that none
    is read; stock fairseq reads the padding in front with ``--left-pad-target``.
    """

    def prepare(self, slots: Slots, memory: Memory | None) -> tuple[Slots, dict[str, list[Tensor]]]:
        """The slots and the stock encoder's output."""
        return slots, memory.encoder_out

    def run_layers(self, x: Tensor, batch: tuple[Slots, dict[str, list[Tensor]]]) -> Tensor:
        """The convolutional layers over x (n, C) to (n, C)."""
        slots, encoder_out = batch
        x = slots.rows(x).transpose(0, 1)  # n x C -> B x T x C -> T x B x C
        states, padding = (first(encoder_out, f"encoder_{key}") for key in ("out", "padding_mask"))
        for layer in self.layers:
            x, _ = layer(x, states, padding, None)
        return slots.unrows(x.transpose(0, 1))
