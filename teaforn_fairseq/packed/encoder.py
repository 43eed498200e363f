"""The encoder's output as all unroll steps read it.

B batch, S source length, m real source tokens, C features.
"""

from dataclasses import dataclass

from fairseq.models import FairseqEncoder
from fairseq.models.transformer import TransformerEncoder, TransformerEncoderBase
from torch import Tensor

from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.packed.transformer_layers import run_layer, say_once, why_stock


@dataclass(frozen=True)
class EncoderOutput:
    """The encoder's output.

    Attributes:
        states: (m, C) of the real source tokens.
        packing: where these stand.
        real: (B, S) bool, true at a source token, false at padding.
        mask: (B, 1, 1, S) bool, ``real`` for attention to rows that are aligned left.
    """

    states: Tensor
    packing: Packing
    real: Tensor
    mask: Tensor

    def as_stock(self) -> dict[str, list[Tensor]]:
        """As fairseq's layers take it: states (S, B, C) and where padding is (B, S)."""
        states = self.packing.unpack(self.states).transpose(0, 1)
        return {"encoder_out": [states], "encoder_padding_mask": [~self.real]}


def encode(
    encoder: FairseqEncoder, tokens: Tensor, lengths: Tensor, embeddings: Tensor | None = None
) -> EncoderOutput:
    """Run the encoder: over the real tokens alone where its layers allow, else as it is.

    Args:
        encoder: a stock encoder.
        tokens: (B, S) source token ids.
        lengths: (B,) their numbers.
        embeddings: (B, S, C) rows of the embedding table, where they are looked up already.
    """
    real = tokens.ne(encoder.padding_idx)
    # How many there are is known to the CPU only; a GPU would have to be waited for.
    packing = Packing.of(real, None if tokens.is_cpu else tokens.numel())
    mask = packing.rows(packing.pack(real))[:, None, None]
    states = _states(encoder, tokens, lengths, embeddings, packing, mask)
    return EncoderOutput(states, packing, real, mask)


def _states(
    encoder: FairseqEncoder,
    tokens: Tensor,
    lengths: Tensor,
    embeddings: Tensor | None,
    packing: Packing,
    mask: Tensor,
) -> Tensor:
    """(m, C) of the real source tokens."""
    if not isinstance(encoder, TransformerEncoderBase):
        out = encoder(tokens, src_lengths=lengths)
        return packing.pack(out["encoder_out"][0].transpose(0, 1))  # S x B x C -> m x C
    reason = why_stock(encoder.layers)
    if type(encoder) not in (TransformerEncoder, TransformerEncoderBase) or reason:
        say_once("encoder", reason or f"an encoder of class {type(encoder).__name__}")
        out = encoder(tokens, src_lengths=lengths, token_embeddings=embeddings)
        return packing.pack(out["encoder_out"][0].transpose(0, 1))  # S x B x C -> m x C
    x = packing.pack(encoder.forward_embedding(tokens, embeddings)[0])
    for layer in encoder.layers:
        x = run_layer(layer, x, packing, mask=mask)
    return x if encoder.layer_norm is None else encoder.layer_norm(x)
