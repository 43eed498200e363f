"""A checkpoint that was asked for by name is loaded, or training stops before its first batch.

Stock fairseq trains from scratch when ``--restore-file`` or ``--continue-once`` name no file, or
``--finetune-from-model`` names a folder. ``checkpoint_last.pt`` of a run that has none yet is no
such name.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq.dataclass.configs import CheckpointConfig
from fairseq.file_io import PathManager
from fairseq.trainer import Trainer

from teaforn_fairseq.files import kind


def if_there(load_checkpoint: Callable) -> Callable:
    """fairseq's loading of a training, which every process does for itself.

    Raises:
        ValueError: from the result, if a checkpoint that was asked for is no file.
    """

    @wraps(load_checkpoint)
    def load_if_there(trainer: Trainer, filename: str, *args: Any, **kwargs: Any) -> Any:
        own = f"checkpoint_last{trainer.checkpoint_suffix}.pt"
        own = os.path.join(trainer.cfg.checkpoint.save_dir, own)
        flag = asked_by(trainer.cfg.checkpoint, is_own=filename == own)
        if flag and not PathManager.isfile(filename):
            raise ValueError(
                f"{flag}: must be a checkpoint; received {filename}, which is"
                f" {kind(filename) or 'no file'}. Name a file;"
                f" a relative name starts at the folder of this command, {os.getcwd()}."
            )
        return load_checkpoint(trainer, filename, *args, **kwargs)

    return load_if_there


def asked_by(cfg: CheckpointConfig, *, is_own: bool) -> str | None:
    """The flag by which the file was asked for; None for the run's own last checkpoint.

    Args:
        cfg: fairseq's options.
        is_own: fairseq chose the run's own last checkpoint.
    """
    if cfg.restore_file != "checkpoint_last.pt":  # fairseq's default
        return "--restore-file"
    if is_own:
        return None
    return "--finetune-from-model" if cfg.continue_once is None else "--continue-once"


def apply() -> None:
    """Where fairseq has found out which file to load."""
    Trainer.load_checkpoint = if_there(Trainer.load_checkpoint)
