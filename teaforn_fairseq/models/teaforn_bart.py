"""Twins of fairseq's BART architectures, which start from pretrained BART and mBART weights."""

from fairseq.models.bart import BARTModel

from teaforn_fairseq.models.twins import twin_of
from teaforn_fairseq.models.unrollable import Unrollable


@twin_of("bart")
class TeaForNBARTModel(Unrollable, BARTModel):
    """fairseq's BART, which can be unrolled; classification heads and features stay stock."""
