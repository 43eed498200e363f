"""A run that was killed at any moment and resumed goes on as if it had never stopped.

Stock fairseq misses this in two places, which are mended when the user directory is imported:

* It writes the first file of a save aside and renames it, but copies ``checkpoint_best.pt`` and
  ``checkpoint_last.pt`` from it in place: a kill leaves half a file, and no run resumes from that.
* It makes the training batches once per process, from the seed and the epoch that the process
  starts in. So a run resumed in epoch 2 or later gets other batches: sentences of equal length come
  in another order.
"""

import os
import shutil
from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq import checkpoint_utils
from fairseq.data.iterators import EpochBatchIterating
from fairseq.file_io import PathManager
from fairseq.tasks import FairseqTask

from teaforn_fairseq.files import place_of_file


class WholeFiles(PathManager):
    """fairseq's file access, except that a file on disk is either the old or the new one, whole.

    A link stays one: the file that it leads to is replaced.
    """

    @staticmethod
    def rename(src: str, dst: str) -> None:
        """Put a finished file in its place, its content on disk before its name.

        Raises:
            ValueError: something that is no regular file is at ``dst``.
            OSError: it could not be put there; ``dst`` is as it was.
        """
        with open(src, "rb") as file:
            os.fsync(file.fileno())
        place = place_of_file(dst)
        if place.parent.stat().st_dev == os.stat(src).st_dev:
            os.replace(src, place)
        else:  # the link leads to another disk
            WholeFiles.copy(src, dst)
            os.remove(src)

    @staticmethod
    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        """Copy aside, then rename; a local ``dst_path`` is replaced whatever ``overwrite`` says.

        Raises:
            ValueError: something that is no regular file is at ``dst_path``.
            OSError: the copy could not be written; ``dst_path`` is as it was.
        """
        if not PathManager.supports_rename(dst_path):
            return PathManager.copy(src_path, dst_path, overwrite=overwrite)
        place = place_of_file(dst_path)
        shutil.copyfile(src_path, f"{place}.tmp")
        WholeFiles.rename(f"{place}.tmp", str(place))
        return True


def batches_of_first_epoch(get_batch_iterator: Callable) -> Callable:
    """fairseq's choice of batches, as a run makes it that starts in epoch 1.

    Epochs still differ in the order of the batches. A task whose batches fairseq makes anew in each
    epoch (sharded data, ``--update-epoch-batch-itr``) keeps them: they do not depend on the start.
    """

    @wraps(get_batch_iterator)
    def get_the_same(task: FairseqTask, dataset: Any, *args: Any, **options: Any) -> Any:
        epoch = options.get("epoch", 1)
        made_once = task.can_reuse_epoch_itr(dataset) and not (
            options.get("disable_iterator_cache") or options.get("update_epoch_batch_itr")
        )
        if epoch == 1 or not made_once or dataset in task.dataset_to_epoch_iter:
            return get_batch_iterator(task, dataset, *args, **options)
        iterator: EpochBatchIterating = get_batch_iterator(
            task, dataset, *args, **options | {"epoch": 1}
        )
        iterator.epoch = epoch
        return iterator

    return get_the_same


def apply() -> None:
    """Where fairseq looks them up when it saves, and when it makes an iterator."""
    checkpoint_utils.PathManager = WholeFiles
    FairseqTask.get_batch_iterator = batches_of_first_epoch(FairseqTask.get_batch_iterator)
