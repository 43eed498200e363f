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

from dataclasses import dataclass

import torch
from torch import Tensor

from teaforn_fairseq.decoders.base import Places, PromptSlots
from teaforn_fairseq.packed.packing import Packing
from teaforn_fairseq.unroll.steps import Start


@dataclass(frozen=True)
class PromptSizes:
    """Number of slots, and of those in the longest row.

    Attributes:
        prompts: of a batch's prompts.
        behind: of what is behind them.
    """

    prompts: tuple[int, int]
    behind: tuple[int, int]

    @classmethod
    def of(cls, slots: Tensor, labels: Tensor) -> "PromptSizes":
        """Count them; a GPU is waited for.

        Args:
            slots: (B, T) bool, true at the slots.
            labels: (B, T) bool, true at the given labels.
        """
        rows = torch.stack([(slots & part).sum(1) for part in (labels, ~labels)])  # 2 x B
        sizes = torch.stack((rows.sum(1), rows.amax(1)), dim=1).tolist()
        return cls(*map(tuple, sizes))


def behind_prompt(start: Start, labels: Tensor, sizes: PromptSizes | None) -> Start:
    """The slots whose labels count, with the others in front of them.

    Args:
        start: all n slots, none of them hidden.
        labels: (B, T) bool, true at the given labels y_1..y_K of a row; each row has one at least,
            and others behind them.
        sizes: where they were counted on the CPU; None counts them, for which a GPU is waited for.
    """
    slots = start.packing.unpack(torch.ones_like(start.given))
    sizes = sizes or PromptSizes.of(slots, labels)
    prompt = _part(start, slots & labels, sizes.prompts)
    rest = _part(start, slots & ~labels, sizes.behind)
    return Start(
        rest.packing, rest.gold, rest.places, start.vocabulary, rest.packing.begins, prompt
    )


def _part(start: Start, there: Tensor, sizes: tuple[int, int]) -> PromptSlots:
    """Some of the slots, (B, T) bool."""
    packing = Packing.of(there, *sizes)
    chosen = torch.searchsorted(start.packing.index, packing.index)
    positions = start.places.positions
    return PromptSlots(
        packing,
        start.gold.index_select(0, chosen),
        Places(None if positions is None else positions.index_select(0, chosen), None),
    )
