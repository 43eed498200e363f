"""The unroll: the decoder run N times over its own outputs (method.md, "The unroll").

    h^(1) = M(e_0, e_1, ..., e_{L-1})
    h^(i) = M(e_0, f(h_1^(i-1)), ..., f(h_{L-1}^(i-1)))        i = 2..N

A three-token example, what stands in the slots of each step and what it is to predict:

    aligned    slots                  labels         shifted    slots                  labels
    step 1     e_0  e_1     e_2       y_1 y_2 y_3    step 1     e_0    e_1    e_2      y_1 y_2 y_3
    step 2     e_0  f(h_1)  f(h_2)    y_1 y_2 y_3    step 2     f(h_1) f(h_2) f(h_3)   y_2 y_3 -
    step 3     e_0  f(h_1)  f(h_2)    y_1 y_2 y_3    step 3     f(h_1) f(h_2) f(h_3)   y_3 -   -

In slot t, shifted step i stands i - 1 positions further than step 1.
B batch, T target length, n real target tokens, C features, N unroll steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from teaforn_fairseq.decoders.base import DecoderAdapter
from teaforn_fairseq.feedbacks import Feedback
from teaforn_fairseq.packed.slots import Slots

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
        recompute: keep no activations of a step but the last one's; the backward pass runs the
            others again.
    """

    num_steps: int
    feedback: Feedback
    shifted: bool = False
    mix: float = 1.0
    free_running: bool = False
    recompute: bool = False


def unroll(
    decoder: DecoderAdapter,
    tokens: Tensor,
    gold: Tensor,
    batch: Any,
    slots: Slots,
    settings: UnrollSettings,
    further: tuple[DecoderAdapter, Any] | None = None,
) -> Iterator[Tensor]:
    """Yield the features of each unroll step in turn, so that one step's loss can be taken and
    its logits released before the next step runs.

    Args:
        decoder: the adapter that runs step 1.
        tokens: (B, T) decoder input w_0..w_{T-1}.
        gold: (B, T, C) their embeddings e_0..e_{T-1}.
        batch: what the adapter's ``prepare`` made of the batch.
        slots: where the n real tokens stand.
        settings: N, feedback, labels, mix and recomputation.
        further: the adapter that runs steps 2..N and its batch; None for the same ones.

    Yields:
        (n, C_out) features h^(1), ..., h^(N) of the real tokens.
    """
    positions = decoder.positions(tokens)
    features, here = None, (decoder, batch)
    for step in range(settings.num_steps):
        inputs, ahead = slots.pack(gold), 0
        if step > 0:
            ahead = step if settings.shifted else 0
            inputs = _fed_back(features, decoder, gold, slots, settings, ahead)
            here = further or here
        places = None if positions is None else slots.pack(shift_left(positions, ahead))
        # The last step's layers are the first that the backward pass needs.
        again = settings.recompute and step < settings.num_steps - 1
        features = _run(*here, inputs, places, again)
        yield features


def _fed_back(
    features: Tensor,
    decoder: DecoderAdapter,
    gold: Tensor,
    slots: Slots,
    settings: UnrollSettings,
    ahead: int,
) -> Tensor:
    """(n, C) what stands in the slots of a step after the first."""
    fed_back = settings.feedback(features, decoder)
    keep_gold = torch.zeros_like(slots.index, dtype=torch.bool)
    if not settings.shifted:
        # What slot t made, slot t + 1 reads; what a row's last slot made is read by none.
        fed_back, keep_gold = F.pad(fed_back, (0, 0, 1, -1)), slots.begins
    if settings.mix < 1:
        keep_gold = keep_gold | left_out(keep_gold, settings.mix)
    return torch.where(keep_gold.unsqueeze(-1), slots.pack(shift_left(gold, ahead)), fed_back)


def _run(
    decoder: DecoderAdapter, batch: Any, inputs: Tensor, positions: Tensor | None, again: bool
) -> Tensor:
    """The decoder's body; with ``again`` its activations are not kept but computed once more."""
    if not again:
        return decoder.body(inputs, positions, batch)
    return checkpoint(decoder.body, inputs, positions, batch, use_reentrant=False)


def free_run(
    decoder: DecoderAdapter,
    tokens: Tensor,
    gold: Tensor,
    encoder_out: Any,
    settings: UnrollSettings,
) -> Tensor:
    """Soft student forcing: each slot reads the feedback of the finished slot before it.

    One pass over the target on fairseq's incremental state, equal to the last step of the parallel
    unroll with N = L (fact 3 of method.md). Gradients flow through all slots.

    Args:
        decoder: an adapter.
        tokens: (B, T) decoder input w_0..w_{T-1}, padded on the right.
        gold: (B, T, C) their embeddings e_0..e_{T-1}.
        encoder_out: the encoder's output as fairseq's layers take it, or None.
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
    positions = decoder.positions(tokens)
    keep_gold = left_out(torch.zeros_like(tokens, dtype=torch.bool), settings.mix)
    features, state = [], {}
    for slot in range(tokens.size(1)):
        here = slice(slot, slot + 1)
        inputs = gold[:, here]
        if slot > 0:
            fed_back = settings.feedback(features[-1], decoder)
            inputs = torch.where(keep_gold[:, here, None], inputs, fed_back)
        position = None if positions is None else positions[:, here]
        features.append(decoder.next_slot(inputs, position, encoder_out, state))
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


def shift_left(values: Tensor, slots: int, fill: float = 0) -> Tensor:
    """Move values (B, T) or (B, T, C) some slots earlier; the last slots hold ``fill``."""
    if slots == 0:
        return values
    kept = values[:, slots:]
    behind = [0, 0] * (values.dim() - 2) + [0, values.size(1) - kept.size(1)]
    return F.pad(kept, behind, value=fill)
