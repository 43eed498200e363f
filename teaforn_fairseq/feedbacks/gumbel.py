"""The embedding of a Gumbel-softmax sample (suggested by Su's article on TeaForN).

f(h) = sum over w of g[w] E(w),  g = softmax((log p + Gumbel noise) / tau)
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks.base import Feedback, register_feedback


@register_feedback("gumbel")
@dataclass(frozen=True)
class Gumbel(Feedback):
    """Random as fairseq's seed wills; gradients flow through the sample and the embeddings.

    Attributes:
        temperature: tau, above 0; small values come close to one word.
        hard: one word exactly, with the soft sample's gradient (straight-through).

    Raises:
        ValueError: the temperature is not above 0.
    """

    temperature: float = 1.0
    hard: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"--teaforn-temperature: must be a number above 0; received {self.temperature}."
            )

    def __call__(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Features (..., C_out) to embeddings (..., C) of a sample a slot."""
        # Run again for the backward pass, noise included: no step's (..., V) stays in memory.
        return vocabulary.dress(checkpoint(self._sample, features, vocabulary, use_reentrant=False))

    def _sample(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        # Logits serve as log p: the softmax forgets the constant between them.
        logits = vocabulary.logits(features)
        sample = F.gumbel_softmax(logits, tau=self.temperature, hard=self.hard)
        return (sample.detach() if self.detach else sample) @ vocabulary.embedding_rows
