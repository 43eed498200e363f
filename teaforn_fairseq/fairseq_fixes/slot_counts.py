"""The slots and labels of a batch are counted before it goes to a GPU.

How many there are decides the shape of what runs there, and a GPU that is asked for it has to be
waited for in every step. fairseq's own count (``ntokens``) is that of the labels, which is another
one where a literal padding symbol stands inside a sentence, and in language models.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq.trainer import Trainer


def counted(prepare_sample: Callable) -> Callable:
    """fairseq's way of a batch to its device, by way of the model's ``note_slots`` and of the
    criterion's ``note_labels`` if any."""

    @wraps(prepare_sample)
    def count_and_prepare(trainer: Trainer, sample: Any, *args: Any, **options: Any) -> Any:
        noting = [(trainer._model, "note_slots"), (trainer._criterion, "note_labels")]
        for note in (getattr(part, name, None) for part, name in noting):
            if note and isinstance(sample, dict) and sample:
                note(sample)
        return prepare_sample(trainer, sample, *args, **options)

    return count_and_prepare


def apply() -> None:
    """Where fairseq's trainer prepares the batches of training and of validation."""
    Trainer._prepare_sample = counted(Trainer._prepare_sample)
