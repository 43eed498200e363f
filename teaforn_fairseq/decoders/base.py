"""What a decoder must offer to be unrolled: M (method.md, "Notation").

An adapter works on an unchanged fairseq decoder, so that parameters, generation and every option
of the decoder stay the stock ones. With it, ``decoder(w, encoder_out)[0]`` at the real tokens
equals ``vocabulary.logits(runner.run(gold, places))``, where ``runner`` is what ``prepare`` makes,
``gold`` holds the embeddings of w and ``places`` is what ``places`` makes of w.
B batch, T target length, n real target tokens, C features.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor, nn

from teaforn_fairseq.decoders.vocabulary import through
from teaforn_fairseq.packed.encoder import EncoderOutput
from teaforn_fairseq.packed.packing import Packing

StockOutput = dict[str, list[Tensor]]
IncrementalState = dict[str, dict[str, Tensor | None]]

# In front of the names of the parameters that only unroll steps 2..N use, never decoding.
UNSHARED_PREFIX = "unshared_decoder."


class OwnLayers(nn.Module):
    """A second set of layers and final norm, as the decoder's are now; E and W stay single.

    Args:
        decoder: a stock decoder; not modified.
    """

    def __init__(self, decoder: FairseqIncrementalDecoder):
        super().__init__()
        self.layers = copy.deepcopy(decoder.layers)
        self.layer_norm = copy.deepcopy(decoder.layer_norm)


@dataclass(frozen=True)
class Places:
    """Where the slots of a step stand in their sentences.

    Attributes:
        positions: (n, C) position vectors, zero at a padding symbol; None for a decoder without.
        hidden: (n,) bool, true at a padding symbol, to which no slot attends; None where a batch
            has none inside a sentence.
    """

    positions: Tensor | None
    hidden: Tensor | None

    def ahead(self, packing: Packing, slots: int) -> "Places":
        """Some slots further; beyond the end of a row there is no position and nothing hidden."""
        moved = (x if x is None else packing.ahead(x, slots) for x in (self.positions, self.hidden))
        return Places(*moved)


@dataclass(frozen=True)
class PromptSlots:
    """The slots in front of those that are unrolled, which hold gold at every step.

    Attributes:
        packing: where the p of them stand, at least one a row.
        gold: (p, C) their embeddings.
        places: where they stand in their sentences, nothing hidden.
    """

    packing: Packing
    gold: Tensor
    places: Places


class DecoderAdapter(ABC):
    """What the unroll needs of a decoder.

    It fits fairseq's decoders that are an embedding, positions, a stack of layers, a final norm
    and an output projection; how a layer is called is left to the subclass.

    Args:
        decoder: a stock decoder.
        own_layers: layers and final norm to run in place of the decoder's; None for these.
    """

    def __init__(self, decoder: FairseqIncrementalDecoder, own_layers: OwnLayers | None = None):
        self.decoder = decoder
        self.layers = (own_layers or decoder).layers
        self.layer_norm = (own_layers or decoder).layer_norm

    @property
    def takes_prompts(self) -> bool:
        """Whether :meth:`prepare` can run a prompt once for all steps."""
        return False

    def places(self, tokens: Tensor, packing: Packing, *, padded: bool) -> Places:
        """Where the slots of decoder input (B, T) stand, as step 1 reads it.

        Args:
            tokens: (B, T) decoder input w_0..w_{T-1}.
            packing: where its n slots are.
            padded: whether any of these may hold a padding symbol.
        """
        positions = None
        if self.decoder.embed_positions is not None:
            positions = packing.pack(self.decoder.embed_positions(tokens))
        hidden = packing.pack(tokens.eq(self.decoder.embed_tokens.padding_idx)) if padded else None
        return Places(positions, hidden)

    def prepare(
        self,
        packing: Packing,
        encoder_output: EncoderOutput | None,
        prompt: PromptSlots | None = None,
    ) -> "Runner":
        """Bind the decoder to a batch; what all unroll steps share of it is made here, once.

        Args:
            packing: where its n real target tokens stand.
            encoder_output: of this batch, or None for a decoder without an encoder.
            prompt: what stands in front of them, if :attr:`takes_prompts`; None for nothing.
        """
        return StockRunner(self, packing, encoder_output and encoder_output.as_stock())

    def next_slot(
        self,
        inputs: Tensor,
        places: Places,
        encoder_out: StockOutput | None,
        state: IncrementalState,
    ) -> Tensor:
        """M over the next slot of every target, by the stock layers.

        Args:
            inputs: (B, 1, C) what stands in the slot. Not modified.
            places: where it stands, (B, 1, C) and (B, 1) or None.
            encoder_out: the stock encoder's output, or None.
            state: fairseq's incremental state, which holds the slots before.

        Returns:
            (B, 1, C_out) features.
        """
        x = self.enter(inputs, places.positions).transpose(0, 1)  # B x 1 x C -> 1 x B x C
        for layer in self.layers:
            x = self.call_layer(layer, x, encoder_out, places.hidden, state)
        return self.leave(x.transpose(0, 1))

    def enter(self, inputs: Tensor, positions: Tensor | None) -> Tensor:
        """What comes before the layers: positions, norm and dropout; (..., C) to (..., C)."""
        x = inputs if positions is None else inputs + positions
        return self.decoder.dropout_module(through(self.decoder, "layernorm_embedding", x))

    def leave(self, x: Tensor) -> Tensor:
        """What comes behind the layers: norm and output dimension; (..., C) to (..., C_out)."""
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return through(self.decoder, "project_out_dim", x)

    @abstractmethod
    def call_layer(
        self,
        layer: nn.Module,
        x: Tensor,
        encoder_out: StockOutput | None,
        hidden: Tensor | None,
        state: IncrementalState | None,
    ) -> Tensor:
        """A layer's own ``forward``, each slot seeing those before it.

        Args:
            layer: one of ``self.layers``.
            x: (T, B, C), rows aligned left; with ``state`` (1, B, C), the next slot of each.
            encoder_out: the stock encoder's output, or None.
            hidden: (B, T) bool, true where no slot attends to; None for nowhere.
            state: fairseq's incremental state, or None.

        Returns:
            As x.
        """


@dataclass(frozen=True)
class Runner(ABC):
    """A decoder bound to a batch.

    Attributes:
        adapter: the decoder's.
        packing: where the batch's n real target tokens stand.
    """

    adapter: DecoderAdapter
    packing: Packing

    def run(self, inputs: Tensor, places: Places) -> Tensor:
        """M: positions, dropout, causal layers and final norm over any input vectors.

        Args:
            inputs: (n, C) what stands in the slots, gold embeddings or feedback. Not modified.
            places: where the slots stand.

        Returns:
            (n, C_out) features, ready for the output projection.
        """
        x = self.adapter.enter(inputs, places.positions)
        return self.adapter.leave(self.run_layers(x, places.hidden))

    @abstractmethod
    def run_layers(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """The layers over x (n, C), each slot seeing those before it but the hidden ones (n,)."""


@dataclass(frozen=True)
class StockRunner(Runner):
    """The layers' own ``forward`` over rows that are aligned left.

    Attributes:
        encoder_out: the encoder's output in fairseq's form, None for a decoder without one.
    """

    encoder_out: StockOutput | None

    def run_layers(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """Real tokens (n, C) to rows, through the layers and back."""
        x = self.packing.rows(x).transpose(0, 1)  # n x C -> B x T x C -> T x B x C
        rows = None if hidden is None else self.packing.rows(hidden)
        for layer in self.adapter.layers:
            x = self.adapter.call_layer(layer, x, self.encoder_out, rows, None)
        return self.packing.unrows(x.transpose(0, 1))


def first(encoder_out: StockOutput | None, key: str) -> Tensor | None:
    """The only entry under this key of a stock encoder's output, or None."""
    entries: list[Any] = (encoder_out or {}).get(key) or [None]
    return entries[0]
