"""f(h) = h, the method's default: the hidden state itself stands in for the next embedding."""

from dataclasses import dataclass

from torch import Tensor

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks.base import Feedback, register_feedback


@register_feedback("hidden")
@dataclass(frozen=True)
class Hidden(Feedback):
    """The features themselves; needs an output as wide as the input."""

    def __call__(self, features: Tensor, vocabulary: Vocabulary) -> Tensor:
        """(..., C) to (..., C), unchanged."""
        return features.detach() if self.detach else features

    def check(self, input_dim: int, output_dim: int, vocabulary_size: int) -> None:
        """Refuse widths between which a hidden state cannot be fed back.

        Raises:
            ValueError: the decoder's output and input widths differ.
        """
        if input_dim != output_dim:
            raise ValueError(
                "--decoder-output-dim: hidden feedback reads the decoder's output as its input, so"
                f" it must equal --decoder-embed-dim; received --decoder-output-dim {output_dim}"
                f" with --decoder-embed-dim {input_dim}. Set --decoder-output-dim {input_dim}, or"
                " choose another --teaforn-feedback."
            )
