"""The expected embedding over the k likeliest words (the paper's feedback; k = 4 there).

f(h) = sum over the k likeliest w of p[w] E(w) / sum of their p[w]
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks.base import Feedback, register_feedback


@register_feedback("topk")
@dataclass(frozen=True)
class TopK(Feedback):
    """Gradients flow through the probabilities and through the embeddings.

    Attributes:
        topk: k, 1 to V; 0 stands for the whole vocabulary.

    Raises:
        ValueError: k is negative.
    """

    topk: int = 4

    def __post_init__(self) -> None:
        if self.topk < 0:
            raise ValueError(
                f"--teaforn-topk: must be at least 0; received {self.topk}."
                " 0 stands for the whole vocabulary."
            )

    def check(self, input_dim: int, output_dim: int, vocabulary_size: int) -> None:
        """Refuse k above the vocabulary.

        Raises:
            ValueError: there are fewer than k words.
        """
        if self.topk > vocabulary_size:
            raise ValueError(
                f"--teaforn-topk: must not exceed the target vocabulary of {vocabulary_size} words;"
                f" received {self.topk}. 0 stands for the whole vocabulary."
            )

    def __call__(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Features (..., C_out) to expected embeddings (..., C)."""
        if self.topk == 0:
            # Run again for the backward pass: no step's (..., V) probabilities stay in memory.
            rows = checkpoint(self._expectation, features, vocabulary, use_reentrant=False)
        else:
            rows = self._topk_expectation(features, vocabulary)
        return vocabulary.dress(rows)

    def _expectation(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        probabilities = self._cut(vocabulary.logits(features).softmax(dim=-1))
        return probabilities @ vocabulary.embedding_rows

    def _topk_expectation(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        # A softmax over the k logits alone is p divided by the summed p of these k; and of the
        # (..., V) logits autograd keeps nothing but the k indices.
        logits, words = vocabulary.logits(features).topk(self.topk, dim=-1)
        probabilities = self._cut(logits.softmax(dim=-1))
        rows = _weighted_rows(
            vocabulary.embedding_rows, words.flatten(0, -2), probabilities.flatten(0, -2)
        )
        return rows.view(*words.shape[:-1], -1)

    def _cut(self, probabilities: Tensor) -> Tensor:
        return probabilities.detach() if self.detach else probabilities


def _weighted_rows(table: Tensor, words: Tensor, weights: Tensor) -> Tensor:
    """(n, C) sums of k rows of the table (V, C); words and weights are (n, k)."""
    weights = weights.to(table.dtype)
    if table.is_cuda and table.dtype == torch.bfloat16:  # no gradient of weights (torch 2.11)
        return (weights.unsqueeze(1) @ F.embedding(words, table)).squeeze(1)
    return F.embedding_bag(words, table, per_sample_weights=weights, mode="sum")
