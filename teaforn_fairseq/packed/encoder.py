"""The encoder's output as all unroll steps read it.

B batch, S source length, m real source tokens, C features.
"""

from dataclasses import dataclass

from fairseq.models import FairseqEncoder
from fairseq.models.transformer import TransformerEncoder, TransformerEncoderBase
from torch import Tensor

from teaforn_fairseq.packed.slots import Slots
from teaforn_fairseq.packed.transformer_layers import run_layer, say_once, why_stock


@dataclass(frozen=True)
class Memory:
    """The encoder's output.

    Attributes:
        states: (m, C) of the real source tokens.
        slots: where these stand.
        real: (B, S) bool, true at a source token, false at padding.
    """

    states: Tensor
    slots: Slots
    real: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, 1, 1, S) bool for attention to rows that are aligned left."""
        return self.slots.rows(self.slots.pack(self.real))[:, None, None]

    @property
    def encoder_out(self) -> dict[str, list[Tensor]]:
        """As fairseq's layers take it: states (S, B, C) and where padding is (B, S)."""
        states = self.slots.unpack(self.states).transpose(0, 1)
        return {"encoder_out": [states], "encoder_padding_mask": [~self.real]}


def encode(
    encoder: FairseqEncoder, tokens: Tensor, lengths: Tensor, embeddings: Tensor | None = None
) -> Memory:
    """Run the encoder: over the real tokens alone where its layers allow, else as it is.

    Args:
        encoder: a stock encoder.
        tokens: (B, S) source token ids.
        lengths: (B,) their numbers.
        embeddings: (B, S, C) rows of the embedding table, where they are looked up already.
    """
    real = tokens.ne(encoder.padding_idx)
    # How many there are is known to the CPU only; a GPU would have to be waited for.
    slots = Slots.of(tokens, encoder.padding_idx, None if tokens.is_cpu else tokens.numel())
    if not isinstance(encoder, TransformerEncoderBase):
        states = encoder(tokens, src_lengths=lengths)["encoder_out"][0]
        return Memory(slots.pack(states.transpose(0, 1)), slots, real)
    reason = why_stock(encoder.layers)
    if type(encoder) not in (TransformerEncoder, TransformerEncoderBase) or reason:
        say_once("encoder", reason or f"an encoder of class {type(encoder).__name__}")
        out = encoder(tokens, src_lengths=lengths, token_embeddings=embeddings)
        return Memory(slots.pack(out["encoder_out"][0].transpose(0, 1)), slots, real)
    x = slots.pack(encoder.forward_embedding(tokens, embeddings)[0])
    mask = slots.rows(slots.pack(real))[:, None, None]
    for layer in encoder.layers:
        x = run_layer(layer, x, slots, mask=mask)
    return Memory(x if encoder.layer_norm is None else encoder.layer_norm(x), slots, real)
