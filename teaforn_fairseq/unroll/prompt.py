"""A prompt goes through the decoder once (method.md, "A prefix that is given", fact 5).

Two rows, K = 3 and K = 1; x is a slot of the prompt, whose label carries no loss:

    slots     e_0  e_1  e_2  e_3  e_4        unrolled    e_3  e_4
              x    x    x    -    -
              e_0  e_1  e_2  e_3                         e_1  e_2  e_3
              x    -    -    -

What is unrolled reads the prompt's keys and values, and is otherwise a target of its own: its first
slot, which reads y_K, is gold at every step.
B batch, T target length, n real target tokens (slots).
"""

import torch
from torch import Tensor

from teaforn_fairseq.decoders.base import Places, PromptSlots
from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.unroll.steps import Start


def behind_prompt(start: Start, labels: Tensor) -> Start:
    """The slots whose labels count, with the others in front of them.

    Args:
        start: all n slots, none of them hidden.
        labels: (B, T) bool, true at the given labels y_1..y_K of a row; each row has one at least,
            and others behind them. A GPU is waited for, as their numbers are not known to the CPU.
    """
    given = start.packing.pack(labels)
    prompt, rest = (_part(start, of) for of in (given, given.logical_not()))
    return Start(
        rest.packing, rest.gold, rest.places, start.vocabulary, rest.packing.begins, prompt
    )


def _part(start: Start, wanted: Tensor) -> PromptSlots:
    """The wanted of the slots, (n,) bool."""
    there = start.packing.unpack(wanted)
    sizes = there.sum(1)
    number, length = torch.stack((sizes.sum(), sizes.max())).tolist()
    packing = Packing.of(there, number, length)
    chosen = torch.searchsorted(start.packing.index, packing.index)
    positions = start.places.positions
    return PromptSlots(
        packing,
        start.gold.index_select(0, chosen),
        Places(None if positions is None else positions.index_select(0, chosen), None),
    )
