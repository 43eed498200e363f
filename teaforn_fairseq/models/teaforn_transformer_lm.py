"""Twins of fairseq's Transformer language models, which have a decoder alone.

B batch, T length.
"""

from dataclasses import dataclass, field

from fairseq.models.transformer_lm import TransformerLanguageModel, TransformerLanguageModelConfig
from torch import Tensor

from teaforn_fairseq.decoders.vocabulary import Vocabulary, look_up
from teaforn_fairseq.models.twins import twin_of
from teaforn_fairseq.models.unrollable import UNSHARED_HELP, Unrollable


@dataclass
class TeaForNTransformerLanguageModelConfig(TransformerLanguageModelConfig):
    teaforn_unshared: bool = field(default=False, metadata={"help": UNSHARED_HELP})


@twin_of("transformer_lm", TeaForNTransformerLanguageModelConfig)
class TeaForNTransformerLanguageModel(Unrollable, TransformerLanguageModel):
    """fairseq's Transformer language model, which can be unrolled.

    There is no start symbol: slot 0 keeps the gold embedding of the stream's token before y_1.
    """

    needs = Unrollable.needs | {
        "adaptive_input": "one embedding table",
        "character_embeddings": "one embedding table",
    }

    def read(
        self, src_tokens: Tensor, src_lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Vocabulary, None]:
        """The stream itself, w_0..w_{T-1} as (B, T), its rows, vocabulary and no encoder output."""
        vocabulary, (rows,) = look_up(self.decoder, src_tokens)
        return src_tokens, rows, vocabulary, None
