"""The embedding of the likeliest word (scheduled sampling is made of it)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks.base import Feedback, register_feedback


@register_feedback("argmax")
@dataclass(frozen=True)
class Argmax(Feedback):
    """No gradient through the choice, only into the embedding."""

    differentiable: ClassVar[bool] = False

    def __call__(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Features (..., C_out) to the embeddings (..., C) of a word a slot."""
        with torch.no_grad():
            words = vocabulary.logits(features).argmax(dim=-1)
        return vocabulary.embed(words)
