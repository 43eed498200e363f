"""The stock Transformer decoder, with an encoder or alone, as the unroll sees it.

B batch, T target length, n real target tokens, C features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from teaforn_fairseq.decoders.base import (
    DecoderAdapter,
    IncrementalState,
    PromptSlots,
    Runner,
    StockOutput,
    first,
)
from teaforn_fairseq.packed.encoder import EncoderOutput
from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.packed.transformer_layers import (
    KeysAndValues,
    project_source,
    run_before,
    run_layer,
    say_once,
    why_stock,
)


class TransformerAdapter(DecoderAdapter):
    """Any ``TransformerDecoderBase``, so BART's and the language models' too."""

    @property
    def takes_prompts(self) -> bool:
        """Where its layers run over the real tokens alone."""
        return why_stock(self.layers) is None

    def prepare(
        self,
        packing: Packing,
        encoder_output: EncoderOutput | None,
        prompt: PromptSlots | None = None,
    ) -> Runner:
        """Layers over the real tokens alone where their options allow, else as they are."""
        reason = why_stock(self.layers)
        if reason:
            say_once("decoder", reason)
            return super().prepare(packing, encoder_output)
        none = [None] * len(self.layers)
        if prompt is not None:
            x = self.enter(prompt.gold, prompt.places.positions)
            before = run_before(self.layers, x, prompt.packing)
            return PackedRunner(self, packing, none, None, before, _behind(prompt.packing, packing))
        if encoder_output is None:
            return PackedRunner(self, packing, none, None, none, None)
        source = project_source(self.layers, encoder_output.states, encoder_output.packing)
        return PackedRunner(self, packing, source, encoder_output.mask, none, None)

    def call_layer(
        self,
        layer: nn.Module,
        x: Tensor,
        encoder_out: StockOutput | None,
        hidden: Tensor | None,
        state: IncrementalState | None,
    ) -> Tensor:
        """A Transformer layer over x (T, B, C)."""
        if hidden is None and self.decoder.cross_self_attention:
            # fairseq's attention to source and target at once asks for a mask, be it empty.
            hidden = x.new_zeros(x.size(1), x.size(0), dtype=torch.bool)
        return layer(
            x,
            first(encoder_out, "encoder_out"),
            first(encoder_out, "encoder_padding_mask"),
            state,
            # It hides the padding behind a row as well.
            self_attn_mask=self.decoder.buffered_future_mask(x) if state is None else None,
            self_attn_padding_mask=hidden,
        )[0]


@dataclass(frozen=True)
class PackedRunner(Runner):
    """The layers over the real tokens alone.

    Attributes:
        source: each layer's keys and values of the encoder's output, None without.
        source_mask: (B, 1, 1, S) bool, true where there is a source token; None without encoder.
        before: each layer's keys and values of the prompt; None without.
        behind: (B, 1, T, P + T) bool, true at the prompt and the slots before each; None without.
    """

    source: Sequence[KeysAndValues | None]
    source_mask: Tensor | None
    before: Sequence[KeysAndValues | None]
    behind: Tensor | None

    def run_layers(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """The Transformer layers over x (n, C) to (n, C)."""
        mask = self.behind if hidden is None else self._mask(hidden)
        for layer, source, before in zip(
            self.adapter.layers, self.source, self.before, strict=True
        ):
            x = run_layer(
                layer,
                x,
                self.packing,
                mask=mask,
                before=before,
                source=source,
                source_mask=self.source_mask,
            )
        return x

    def _mask(self, hidden: Tensor) -> Tensor:
        """(B, 1, T, T) bool, true at the slots before each but the hidden ones (n,)."""
        return _causal(self.packing) & ~self.packing.rows(hidden)[:, None, None]


def _causal(packing: Packing) -> Tensor:
    """(T, T) bool, true at a slot and those before it."""
    length = packing.length
    return torch.ones(length, length, dtype=torch.bool, device=packing.index.device).tril()


def _behind(prompt: Packing, packing: Packing) -> Tensor:
    """(B, 1, T, P + T) bool, true at the prompt's P slots and at a slot and those before it."""
    real = prompt.rows(torch.ones_like(prompt.index, dtype=torch.bool))[:, None, None]
    causal = _causal(packing).expand(real.size(0), 1, -1, -1)
    return torch.cat((real.expand(-1, -1, packing.length, -1), causal), dim=3)
