"""Evaluation covers all data, or stops and says what it would leave out.

Stock fairseq leaves data out of validation, generation and scoring with a line in the log or none:

* the last batch of a data set, when its size is no multiple of ``--required-batch-size-multiple``,
  8 by default: up to seven sentences, or all of a small set;
* in ``fairseq-eval-lm`` every block that is longer than the model takes, and its blocks have 1,024
  tokens by default, whatever the model was trained with.

Training leaves out what fairseq's does. ``--skip-invalid-size-inputs-valid-test`` is obeyed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np
from fairseq.data.iterators import EpochBatchIterating
from fairseq.distributed import utils as distributed_utils
from fairseq.tasks import FairseqTask
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.multilingual_language_modeling import MultilingualLanguageModelingTask
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask
from fairseq.trainer import Trainer

SKIP = "--skip-invalid-size-inputs-valid-test"
_training: ContextVar[bool] = ContextVar("_training", default=False)
_scoring: ContextVar[bool] = ContextVar("_scoring", default=False)
_skip_asked: ContextVar[bool] = ContextVar("_skip_asked", default=False)


@contextmanager
def during(variable: ContextVar[bool], value: bool = True) -> Iterator[None]:
    """The variable has this value inside of the block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def within(variable: ContextVar[bool], function: Callable) -> Callable:
    """The function, during which the variable is true."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with during(variable):
            return function(*args, **kwargs)

    return call


def knowing_what_was_asked(call_main: Callable) -> Callable:
    """fairseq's start of a command, which tells ``fairseq-eval-lm`` of a flag that it ignores."""

    @wraps(call_main)
    def call(cfg: Any, main: Callable, **kwargs: Any) -> Any:
        with during(_skip_asked, bool(cfg.dataset.skip_invalid_size_inputs_valid_test)):
            return call_main(cfg, main, **kwargs)

    return call


def all_batches(get_batch_iterator: Callable) -> Callable:
    """fairseq's choice of batches, of which evaluation gets all."""

    @wraps(get_batch_iterator)
    def get_all(task: FairseqTask, dataset: Any, *args: Any, **options: Any) -> EpochBatchIterating:
        if _training.get():
            iterator = get_batch_iterator(task, dataset, *args, **options)
            iterator.is_for_training = True
            return iterator
        options["required_batch_size_multiple"] = 1
        if _scoring.get():  # fairseq-eval-lm has asked to skip, whatever the user did
            options["ignore_invalid_inputs"] = _skip_asked.get()
        if getattr(task.dataset_to_epoch_iter.get(dataset), "is_for_training", False):
            options["disable_iterator_cache"] = True  # --valid-subset train
        return get_batch_iterator(task, dataset, *args, **options)

    return get_all


def none_too_long(filter_indices_by_size: Callable) -> Callable:
    """fairseq's choice of samples, except that it stops for a reader, not for a programmer.

    Raises:
        ValueError: from the result, where a sample is too long and must not be skipped.
    """

    @wraps(filter_indices_by_size)
    def filter_or_stop(
        task: FairseqTask,
        indices: np.ndarray,
        dataset: Any,
        max_positions: Any = None,
        ignore_invalid_inputs: bool = False,
    ) -> np.ndarray:
        if ignore_invalid_inputs:
            return filter_indices_by_size(task, indices, dataset, max_positions, True)
        kept, ignored = dataset.filter_indices_by_size(indices, max_positions)
        if len(ignored):
            sizes = [dataset.size(index) for index in ignored]
            raise ValueError(too_long(sizes, len(indices), max_positions))
        return kept

    return filter_or_stop


def too_long(sizes: list[Any], num_samples: int, limit: Any) -> str:
    """What to tell the user of samples that are too long.

    Args:
        sizes: theirs, in tokens: one number each, or source and target.
        num_samples: how many there are with those that fit.
        limit: what task and model take, in the same form.
    """
    received = f"received {len(sizes):,} of {num_samples:,} samples that are longer, up to"
    if isinstance(limit, (int, float)):
        return (
            f"--tokens-per-sample: must be at most {limit}, the tokens that the model takes, or"
            f" evaluation would leave data out; {received} {max(sizes)} tokens. Set"
            f" --tokens-per-sample {limit}, without --sample-break-mode eos, which keeps longer"
            f" sentences whole. To leave them out: {SKIP}."
        )
    longest = tuple(int(side) for side in np.max(np.array(sizes), axis=0))
    return (
        "--max-source-positions, --max-target-positions: evaluation takes sources and targets of at"
        f" most {limit} tokens, here and in the model; {received} {longest}. Raise them as far as"
        " the model was trained for, or cut sources with --truncate-source. To leave them out:"
        f" {SKIP}."
    )


def apply() -> None:
    """Where fairseq looks them up when it makes an iterator, and when a command starts."""
    for task in (FairseqTask, TranslationMultiSimpleEpochTask):  # all that have one of their own
        task.get_batch_iterator = all_batches(task.get_batch_iterator)
    FairseqTask.filter_indices_by_size = none_too_long(FairseqTask.filter_indices_by_size)
    Trainer.get_train_iterator = within(_training, Trainer.get_train_iterator)
    for task in (LanguageModelingTask, MultilingualLanguageModelingTask):
        task.eval_lm_dataloader = within(_scoring, task.eval_lm_dataloader)
    distributed_utils.call_main = knowing_what_was_asked(distributed_utils.call_main)
