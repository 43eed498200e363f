"""The embedding of the likeliest word (scheduled sampling is made of it)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from teaforn_fairseq.feedbacks.base import Feedback, register_feedback


@register_feedback("argmax")
@dataclass(frozen=True)
class Argmax(Feedback):
    """No gradient through the choice, only into the embedding."""

    differentiable: ClassVar[bool] = False

    def __call__(self, features: Tensor, decoder: Any) -> Tensor:
        """Features (..., C_out) to the embeddings (..., C) of a word a slot."""
        with torch.no_grad():
            words = decoder.logits(features).argmax(dim=-1)
        return decoder.embed(words)
