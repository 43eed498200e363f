"""Multiply-adds of a training step's matrix products.

What a forward pass takes for each token, with d the width and f the width of the feed-forward:

    encoder layer       4 d^2 + 2 d f   a source token
    decoder layer       6 d^2 + 2 d f   a target token, each unroll step;
                        4 d^2 + 2 d f   without an encoder
    encoder K and V     2 d^2           a source token and decoder layer, once for all steps
    output projection   V d             a target token, each unroll step

A prompt's tokens go through the layers once, and through K and V alone of the last one (2 d^2);
for stock fairseq they are target tokens like any other. A backward pass takes twice its forward
pass. Attention's products of length with length, look-ups and everything else are not counted.
"""

from dataclasses import dataclass

from bench.shapes import Shape
from bench.systems import System


@dataclass(frozen=True)
class Tokens:
    """Numbers of source and target tokens in a batch, and of a language model's in prompts."""

    source: int
    target: int
    prompt: int = 0


def step_cost(shape: Shape, tokens: Tokens, system: System | None = None) -> float:
    """Multiply-adds of a step, forward and backward, mean over the updates.

    Args:
        shape: of the model.
        tokens: what the batch holds.
        system: how the decoder is unrolled; None for stock fairseq, which costs as much as N = 1
            without prompts.
    """
    if system is None:
        system, tokens = System("n1", 1), Tokens(tokens.source, tokens.target + tokens.prompt)
    d = shape.width
    feed_forward = 2 * d * shape.ffn
    encoder = shape.encoder_layers * (4 * d * d + feed_forward) * tokens.source
    keys_and_values = shape.decoder_layers * 2 * d * d * tokens.source
    layer = (6 if shape.encoder_layers else 4) * d * d + feed_forward
    layers = shape.decoder_layers * layer * tokens.target
    prompt = ((shape.decoder_layers - 1) * layer + 2 * d * d) * tokens.prompt
    projection = shape.vocabulary * d * tokens.target
    further = (system.n - 1) * (layers + system.share * projection)
    again = (system.n - 1) * layers if system.recompute else 0
    first = encoder + keys_and_values + prompt + layers + projection
    return 3 * first + (3 * further + again) / system.every
