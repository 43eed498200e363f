"""The unroll: the decoder run N times over its own outputs (method.md, "The unroll").

    h^(1) = M(e_0, e_1, ..., e_{L-1})
    h^(i) = M(e_0, f(h_1^(i-1)), ..., f(h_{L-1}^(i-1)))        i = 2..N

A three-token example, what stands in the slots of each step and what it is to predict:

    aligned    slots                  labels         shifted    slots                  labels
    step 1     e_0  e_1     e_2       y_1 y_2 y_3    step 1     e_0    e_1    e_2      y_1 y_2 y_3
    step 2     e_0  f(h_1)  f(h_2)    y_1 y_2 y_3    step 2     f(h_1) f(h_2) f(h_3)   y_2 y_3 -
    step 3     e_0  f(h_1)  f(h_2)    y_1 y_2 y_3    step 3     f(h_1) f(h_2) f(h_3)   y_3 -   -

In slot t, shifted step i stands i - 1 positions further than step 1. A slot whose token is given at
decoding too keeps its gold embedding at every step, as slot 0 does here.
B batch, T target length, n real target tokens (slots), C features, N unroll steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from teaforn_fairseq.decoders.base import DecoderAdapter, Places, PromptSlots, Runner, StockOutput
from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.feedbacks import Feedback
from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.unroll.prefix import Prefix

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
        prefix: what is given at decoding too, so never fed back and without a loss.
    """

    num_steps: int
    feedback: Feedback
    shifted: bool = False
    mix: float = 1.0
    free_running: bool = False
    recompute: bool = False
    prefix: Prefix = Prefix()

    @property
    def keeps_prompts(self) -> bool:
        """Whether a prompt's slots are step 1's at every step (method.md, fact 5)."""
        return self.prefix.end is not None and not self.shifted and not self.free_running


@dataclass(frozen=True)
class Start:
    """What stands in the slots of step 1, and what turns features into the inputs of a next step.

    Attributes:
        packing: where the n real target tokens stand.
        gold: (n, C) their embeddings e_0..e_{L-1}, row after row.
        places: where step 1's slots stand in their sentences.
        vocabulary: E and W, for the feedback.
        given: (n,) bool, true where a slot keeps its gold embedding at every step.
        prompt: what stands in front of these slots; None for nothing.
    """

    packing: Packing
    gold: Tensor
    places: Places
    vocabulary: Vocabulary
    given: Tensor
    prompt: PromptSlots | None = None


def unroll(
    first: Runner, further: Runner, start: Start, settings: UnrollSettings
) -> Iterator[Tensor]:
    """Yield the features of each unroll step in turn.

    Args:
        first: the decoder of step 1, bound to the batch.
        further: the decoder of steps 2..N, bound to the batch; ``first`` where they are shared.
        start: what step 1 reads.
        settings: N, feedback, labels, mix and recomputation.

    Yields:
        (n, C_out) features h^(1), ..., h^(N) of the real tokens.
    """
    runner, inputs, places = first, start.gold, start.places
    for step in range(settings.num_steps):
        # The last step's layers are the first that the backward pass needs.
        again = settings.recompute and step < settings.num_steps - 1
        features = _run(runner, inputs, places, again)
        yield features
        if step + 1 < settings.num_steps:
            ahead = step + 1 if settings.shifted else 0
            runner, inputs = further, _fed_back(features, start, settings, ahead)
            places = start.places.ahead(start.packing, ahead)


def _fed_back(features: Tensor, start: Start, settings: UnrollSettings, ahead: int) -> Tensor:
    """(n, C) what stands in the slots of a step after the first."""
    fed_back = settings.feedback(features, start.vocabulary)
    if not settings.shifted:
        # What slot t made, slot t + 1 reads; what a row's last slot made is read by none.
        fed_back = F.pad(fed_back, (0, 0, 1, -1))
    keep_gold = start.packing.ahead(start.given, ahead)
    if settings.mix < 1:
        keep_gold = keep_gold | left_out(keep_gold, settings.mix)
    gold = start.packing.ahead(start.gold, ahead)
    return torch.where(keep_gold.unsqueeze(-1), gold, fed_back)


def _run(runner: Runner, inputs: Tensor, places: Places, again: bool) -> Tensor:
    """The decoder's body; with ``again`` its activations are not kept but computed once more."""
    if not again:
        return runner.run(inputs, places)
    return checkpoint(runner.run, inputs, places, use_reentrant=False)


def free_run(
    decoder: DecoderAdapter, start: Start, encoder_out: StockOutput | None, settings: UnrollSettings
) -> Tensor:
    """Soft student forcing: each slot reads the feedback of the finished slot before it.

    One pass over the target on fairseq's incremental state, equal to the last step of the parallel
    unroll with N = L (fact 3 of method.md). Gradients flow through all slots.

    Args:
        decoder: an adapter.
        start: what stands in the slots with teacher forcing.
        encoder_out: the encoder's output as fairseq's layers take it, or None.
        settings: feedback and mix.

    Returns:
        (n, C_out) features h^(L).

    Raises:
        ValueError: a row begins with a literal padding symbol.
    """
    gold = start.packing.rows(start.gold)
    positions, hidden = (
        x if x is None else start.packing.rows(x)
        for x in (start.places.positions, start.places.hidden)
    )
    if hidden is not None and hidden[:, 0].any():
        raise ValueError(
            "--teaforn-n: full runs slot by slot, and the first needs a token to attend to;"
            " received a text that begins with the padding symbol. Take the symbol out of the"
            " text, or choose a number of steps."
        )
    given = start.packing.rows(start.given)
    keep_gold = given | left_out(given, settings.mix)
    features, state = [], {}
    for slot in range(gold.size(1)):
        here = slice(slot, slot + 1)
        inputs = gold[:, here]
        if slot > 0:
            fed_back = settings.feedback(features[-1], start.vocabulary)
            inputs = torch.where(keep_gold[:, here, None], inputs, fed_back)
        places = Places(*(x if x is None else x[:, here] for x in (positions, hidden)))
        features.append(decoder.next_slot(inputs, places, encoder_out, state))
    return start.packing.unrows(torch.cat(features, dim=1))


def left_out(like: Tensor, mix: float) -> Tensor:
    """Bool as ``like``, true in a random share 1 - q of the slots; draws nothing when q = 1."""
    if mix >= 1:
        return torch.zeros_like(like)
    return torch.rand(like.shape, device=like.device) >= mix
