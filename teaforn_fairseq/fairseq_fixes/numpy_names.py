"""What fairseq uses of numpy that newer ones have removed or changed.

For translation, language modelling, summarization and their generation:

* names: ``np.compat.long`` (``--sample-break-mode eos``, ``--num-batch-buckets``), ``np.int``
  (masks of spans), ``np.float`` (the CRF of non-autoregressive models), ``np.percentile(...,
  interpolation=)`` (``--num-batch-buckets``);
* since numpy 2 a small integer stays small in sums with Python's: ``fairseq-preprocess --workers``
  writes wrong positions into an index beyond 2 GiB of data, and blocks of a language model's data
  count beyond 0 or 65,535.

What fairseq has for speech is left as it is.
"""

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
from fairseq.data import data_utils, language_pair_dataset, token_block_dataset
from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder
from fairseq.modules import dynamic_crf_layer

MODULES = (data_utils, language_pair_dataset, token_block_dataset, dynamic_crf_layer)


class NumpyWithOldNames:
    """numpy, to modules that use names which it has no longer."""

    compat = SimpleNamespace(long=int)
    int = int
    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def percentile(a: Any, q: Any, *, interpolation: Any = "linear") -> Any:
        """``np.percentile`` with the old name of its ``method``."""
        return np.percentile(a, q, method=interpolation)


def in_python_integers(merge_file: Callable) -> Callable:
    """fairseq's merging of indices, with sizes that add up to any position in a file."""

    @wraps(merge_file)
    def merge(builder: MMapIndexedDatasetBuilder, another_file: str) -> None:
        before = len(builder._sizes)
        merge_file(builder, another_file)
        builder._sizes[before:] = map(int, builder._sizes[before:])

    return merge


def in_wide_integers(build_slice_indices: Callable) -> Callable:
    """fairseq's cutting of a stream into K blocks, in 64 bits.

    It returns sizes (K), index (K x 3) and slices (K x 2).
    """

    @wraps(build_slice_indices)
    def build(*args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, index, slices = build_slice_indices(*args, **kwargs)
        slices = slices.astype(np.int64)
        return slices[:, 1] - slices[:, 0], index.astype(np.int64), slices

    return build


def apply() -> None:
    """In the modules that use them; numpy itself stays as it is."""
    for module in MODULES:
        module.np = NumpyWithOldNames()
    MMapIndexedDatasetBuilder.merge_file_ = in_python_integers(
        MMapIndexedDatasetBuilder.merge_file_
    )
    dataset = token_block_dataset.TokenBlockDataset
    dataset._build_slice_indices = staticmethod(in_wide_integers(dataset._build_slice_indices))
