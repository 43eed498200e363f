"""Twins of fairseq's Transformer architectures."""

from fairseq.models.transformer import TransformerModel

from teaforn_fairseq.models.unrollable import Unrollable
from teaforn_fairseq.twins import twin_of


@twin_of("transformer")
class TeaForNTransformerModel(Unrollable, TransformerModel):
    """fairseq's Transformer, which can be unrolled."""
