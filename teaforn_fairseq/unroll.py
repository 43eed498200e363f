"""The unroll: the decoder run N times over its own outputs (method.md, "The unroll").

    h^(1) = M(e_0, e_1, ..., e_{L-1})
    h^(i) = M(e_0, f(h_1^(i-1)), ..., f(h_{L-1}^(i-1)))        i = 2..N

A three-token example, what stands in the slots of each step and what it is to predict:

    aligned    slots                  labels         shifted    slots                  labels
    step 1     e_0  e_1     e_2       y_1 y_2 y_3    step 1     e_0    e_1    e_2      y_1 y_2 y_3
    step 2     e_0  f(h_1)  f(h_2)    y_1 y_2 y_3    step 2     f(h_1) f(h_2) f(h_3)   y_2 y_3 -
    step 3     e_0  f(h_1)  f(h_2)    y_1 y_2 y_3    step 3     f(h_1) f(h_2) f(h_3)   y_3 -   -

In slot t, shifted step i stands i - 1 positions further than step 1.
B batch, T target length, C features, N unroll steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from teaforn_fairseq.feedbacks import Feedback

LABELS = ("aligned", "shifted")


@dataclass(frozen=True)
class UnrollSettings:
    """How the decoder is unrolled.

    Attributes:
        num_steps: N >= 1.
        feedback: f, what a step hands to the next.
        shifted: shifted labels rather than aligned ones.
        mix: q, 0 to 1, the share of slots of steps 2..N that take the feedback; the others keep
            their gold embedding.
        free_running: run the decoder once, slot by slot to the end of each target, which gives
            the last step of N = L; ``num_steps`` is 1 then.
    """

    num_steps: int
    feedback: Feedback
    shifted: bool = False
    mix: float = 1.0
    free_running: bool = False


def unroll(
    decoder: Any, tokens: Tensor, encoder_out: Any, settings: UnrollSettings, further: Any = None
) -> Iterator[Tensor]:
    """Yield the features of each unroll step in turn, so that one step's loss can be taken and
    its logits released before the next step runs.

    Args:
        decoder: an adapter (``teaforn_fairseq.decoders``).
        tokens: (B, T) decoder input w_0..w_{T-1}.
        encoder_out: what the adapter's body takes as the encoder's output.
        settings: N, feedback, labels and mix.
        further: the adapter that runs steps 2..N; None for the same one.

    Yields:
        (B, T, C_out) features h^(1), ..., h^(N).
    """
    if settings.free_running:
        yield free_run(decoder, tokens, encoder_out, settings)
        return
    gold, positions = decoder.embed(tokens), decoder.positions(tokens)
    features = decoder.body(gold, positions, tokens, encoder_out)
    yield features
    for step in range(1, settings.num_steps):
        fed_back = settings.feedback(features, decoder)
        if settings.shifted:
            keep_gold, ahead = torch.zeros_like(tokens, dtype=torch.bool), step
        else:
            fed_back = shift_right(fed_back)
            keep_gold, ahead = first_slots(tokens, decoder.padding_idx), 0
        keep_gold = keep_gold | left_out(keep_gold, settings.mix)
        inputs = torch.where(keep_gold.unsqueeze(-1), shift_left(gold, ahead), fed_back)
        here = None if positions is None else shift_left(positions, ahead)
        features = (further or decoder).body(inputs, here, tokens, encoder_out)
        yield features


def free_run(decoder: Any, tokens: Tensor, encoder_out: Any, settings: UnrollSettings) -> Tensor:
    """Soft student forcing: each slot reads the feedback of the finished slot before it.

    One pass over the target on fairseq's incremental state, equal to the last step of the parallel
    unroll with N = L (fact 3 of method.md). Gradients flow through all slots.

    Args:
        decoder: an adapter that keeps an incremental state.
        tokens: (B, T) decoder input w_0..w_{T-1}, padded on the right.
        encoder_out: what the adapter's body takes as the encoder's output.
        settings: feedback and mix.

    Returns:
        (B, T, C_out) features h^(L).

    Raises:
        ValueError: targets are padded on the left.
    """
    if tokens[:, 0].eq(decoder.padding_idx).any():
        raise ValueError(
            "--left-pad-target: --teaforn-n full runs from the first slot on and needs targets"
            " padded on the right; received padding in front. Leave --left-pad-target out."
        )
    gold, positions = decoder.embed(tokens), decoder.positions(tokens)
    keep_gold = left_out(torch.zeros_like(tokens, dtype=torch.bool), settings.mix)
    features, state = [], {}
    for slot in range(tokens.size(1)):
        here = slice(slot, slot + 1)
        inputs = gold[:, here]
        if slot > 0:
            fed_back = settings.feedback(features[-1], decoder)
            inputs = torch.where(keep_gold[:, here, None], inputs, fed_back)
        position = None if positions is None else positions[:, here]
        features.append(decoder.body(inputs, position, tokens[:, here], encoder_out, state))
    return torch.cat(features, dim=1)


def step_labels(target: Tensor, num_steps: int, shifted: bool, padding_idx: int) -> list[Tensor]:
    """What each step is to predict.

    Args:
        target: (B, T) labels y_1..y_L, padding on either side.
        num_steps: N.
        shifted: step i predicts y_i..y_L from its first slot on; otherwise y_1..y_L.
        padding_idx: label that does not count.

    Returns:
        N tensors (B, T).
    """
    if not shifted:
        return [target] * num_steps
    padding = target.eq(padding_idx)
    return [
        shift_left(target, step, padding_idx).masked_fill(padding, padding_idx)
        for step in range(num_steps)
    ]


def left_out(like: Tensor, mix: float) -> Tensor:
    """(B, T) bool, true in a random share 1 - q of the slots; draws nothing when q = 1."""
    if mix >= 1:
        return torch.zeros_like(like)
    return torch.rand(like.shape, device=like.device) >= mix


def shift_right(vectors: Tensor) -> Tensor:
    """Move the vectors (B, T, C) one slot later: what slot t made, slot t + 1 reads.

    The last one drops out; slot 0 holds zeros, which no step reads because slot 0 keeps its gold
    embedding.
    """
    return F.pad(vectors, (0, 0, 1, -1))


def shift_left(values: Tensor, slots: int, fill: float = 0) -> Tensor:
    """Move values (B, T) or (B, T, C) some slots earlier; the last slots hold ``fill``."""
    if slots == 0:
        return values
    kept = values[:, slots:]
    behind = [0, 0] * (values.dim() - 2) + [0, values.size(1) - kept.size(1)]
    return F.pad(kept, behind, value=fill)


def first_slots(tokens: Tensor, padding_idx: int) -> Tensor:
    """Where each target begins: (B, T) bool, true in the slot of w_0 whichever side is padded."""
    real = tokens.ne(padding_idx)
    return real & real.cumsum(dim=1).eq(1)
