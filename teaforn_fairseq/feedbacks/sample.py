"""The embedding of a word drawn from p (scheduled sampling is made of it)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks.base import Feedback, register_feedback


@register_feedback("sample")
@dataclass(frozen=True)
class Sample(Feedback):
    """Random as fairseq's seed wills; no gradient through the choice, only into the embedding."""

    differentiable: ClassVar[bool] = False

    def __call__(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Features (..., C_out) to the embeddings (..., C) of a word a slot."""
        with torch.no_grad():
            probabilities = vocabulary.logits(features).float().softmax(dim=-1)
            # The race by which torch.multinomial draws one word, without its check, for which a
            # GPU is waited for. A row of NaN, after an overflow, must not stop the draw: the loss
            # is not finite either, and fairseq deals with that: it skips the batch or stops.
            race = torch.empty_like(probabilities).exponential_()
            words = (probabilities / race).argmax(dim=-1)
        return vocabulary.embed(words)
