"""The unroll: the decoder run N times over its own outputs (method.md, "The unroll").

    h^(1) = M(e_0, e_1, ..., e_{L-1})
    h^(i) = M(e_0, f(h_1^(i-1)), ..., f(h_{L-1}^(i-1)))        i = 2..N

A three-token example, what stands in the slots of each step ("aligned" labels y_1 y_2 y_3):

    step 1    e_0   e_1          e_2
    step 2    e_0   f(h_1^(1))   f(h_2^(1))
    step 3    e_0   f(h_1^(2))   f(h_2^(2))

B batch, T target length, C features, N unroll steps.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Feedback = Callable[[Tensor], Tensor]


def unroll(
    body: Callable[[Tensor], Tensor],
    gold: Tensor,
    keep_gold: Tensor,
    *,
    num_steps: int,
    feedback: Feedback,
) -> Iterator[Tensor]:
    """Yield the features of each unroll step in turn, so that one step's loss can be taken and
    its logits released before the next step runs.

    Args:
        body: M, maps input vectors (B, T, C) to features (B, T, C_out).
        gold: (B, T, C) gold embeddings e_0..e_{T-1}, without positions.
        keep_gold: (B, T) bool, true in the slots that read gold at every step.
        num_steps: N >= 1.
        feedback: f, maps features (B, T, C_out) to input vectors (B, T, C).

    Yields:
        (B, T, C_out) features h^(1), ..., h^(N).
    """
    features = body(gold)
    yield features
    for _ in range(1, num_steps):
        fed_back = shift_right(feedback(features))
        features = body(torch.where(keep_gold.unsqueeze(-1), gold, fed_back))
        yield features


def shift_right(vectors: Tensor) -> Tensor:
    """Move the vectors (B, T, C) one slot later: what slot t made, slot t + 1 reads.

    The last one drops out; slot 0 holds zeros, which no step reads because slot 0 keeps its gold
    embedding.
    """
    return torch.nn.functional.pad(vectors, (0, 0, 1, -1))


def first_slots(prev_output_tokens: Tensor, padding_idx: int) -> Tensor:
    """Where each target begins: (B, T) bool, true in the slot of w_0 whichever side is padded."""
    real = prev_output_tokens.ne(padding_idx)
    return real & real.cumsum(dim=1).eq(1)
