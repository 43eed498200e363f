"""Multiply-adds of a training step's matrix products.

What a forward pass takes for each token, with d the width and f the width of the feed-forward:

    encoder layer       4 d^2 + 2 d f   a source token
    decoder layer       6 d^2 + 2 d f   a target token, each unroll step
    encoder K and V     2 d^2           a source token and decoder layer, once for all steps
    output projection   V d             a target token, each unroll step

A backward pass takes twice its forward pass. Attention's products of length with length, look-ups
and everything else are not counted.
"""

from dataclasses import dataclass

from bench.shapes import Shape
from bench.systems import System


@dataclass(frozen=True)
class Tokens:
    """Numbers of source and target tokens in a batch."""

    source: int
    target: int


def step_cost(shape: Shape, tokens: Tokens, system: System | None = None) -> float:
    """Multiply-adds of a step, forward and backward, mean over the updates.

    Args:
        shape: of the model.
        tokens: what the batch holds.
        system: how the decoder is unrolled; None for stock fairseq, which costs as much as N = 1.
    """
    system = system or System("n1", 1)
    d = shape.width
    feed_forward = 2 * d * shape.ffn
    encoder = shape.encoder_layers * (4 * d * d + feed_forward) * tokens.source
    keys_and_values = shape.decoder_layers * 2 * d * d * tokens.source
    layers = shape.decoder_layers * (6 * d * d + feed_forward) * tokens.target
    projection = shape.vocabulary * d * tokens.target
    further = (system.n - 1) * (layers + system.share * projection)
    again = (system.n - 1) * layers if system.recompute else 0
    first = encoder + keys_and_values + layers + projection
    return 3 * first + (3 * further + again) / system.every
