"""The slots of a batch are counted before it goes to a GPU.

How many there are decides the shape of what runs there, and a GPU that is asked for it has to be
waited for in every step. fairseq's own count (``ntokens``) is that of the labels, which is another
one where a literal padding symbol stands inside a sentence, and in language models.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq.trainer import Trainer


def counted(prepare_sample: Callable) -> Callable:
    """fairseq's way of a batch to its device, by way of the model's ``note_slots`` if any."""

    @wraps(prepare_sample)
    def count_and_prepare(trainer: Trainer, sample: Any, *args: Any, **options: Any) -> Any:
        note_slots = getattr(trainer._model, "note_slots", None)
        if note_slots and isinstance(sample, dict) and sample:
            note_slots(sample)
        return prepare_sample(trainer, sample, *args, **options)

    return count_and_prepare


def apply() -> None:
    """Where fairseq's trainer prepares the batches of training and of validation."""
    Trainer._prepare_sample = counted(Trainer._prepare_sample)
