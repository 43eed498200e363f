"""Twins of fairseq's LightConv and DynamicConv architectures."""

from argparse import Namespace
from typing import Any

from fairseq.models.lightconv import LightConvModel

from teaforn_fairseq.decoders.lightconv import LightConvAdapter
from teaforn_fairseq.models.twins import twin_of
from teaforn_fairseq.models.unrollable import Unrollable


class InheritableLightConvModel(LightConvModel):
    """The stock model, built as the class that was asked for."""

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> "InheritableLightConvModel":
        """Build the model from fairseq's options."""
        stock = super().build_model(args, task)  # a LightConvModel whatever cls is
        return cls(stock.encoder, stock.decoder)


@twin_of("lightconv")
class TeaForNLightConvModel(Unrollable, InheritableLightConvModel):
    """fairseq's LightConv, which can be unrolled."""

    adapter_class = LightConvAdapter
