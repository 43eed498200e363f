"""Twins of fairseq's Transformer architectures."""

from fairseq.models.transformer import TransformerModel

from teaforn_fairseq.models.twins import twin_of
from teaforn_fairseq.models.unrollable import Unrollable


@twin_of("transformer")
class TeaForNTransformerModel(Unrollable, TransformerModel):
    """fairseq's Transformer, which can be unrolled."""
