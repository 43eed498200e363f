"""Feedback f: what one unroll step hands to the next (method.md, "Feedback").

A feedback maps features (B, T, C_out) of a step to inputs (B, T, C) of the next one, where C is
the width of the decoder's input embedding. B batch, T target length, C features.
"""

from torch import Tensor


def hidden(features: Tensor) -> Tensor:
    """f(h) = h, the method's default: the hidden state itself stands in for the next embedding.

    Args:
        features: (B, T, C), what the decoder hands to its output projection.

    Returns:
        (B, T, C), the same tensor; gradients flow through it.
    """
    return features


def check_hidden(input_dim: int, output_dim: int) -> None:
    """Refuse widths between which a hidden state cannot be fed back.

    Raises:
        ValueError: the decoder's output and input widths differ.
    """
    if input_dim != output_dim:
        raise ValueError(
            "--decoder-output-dim: TeaForN feeds the decoder's output back as its input, so it must"
            f" equal --decoder-embed-dim; received --decoder-output-dim {output_dim} with"
            f" --decoder-embed-dim {input_dim}. Leave --decoder-output-dim out, or train this"
            " architecture without TeaForN."
        )
