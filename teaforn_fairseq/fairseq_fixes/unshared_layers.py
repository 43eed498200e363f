"""A checkpoint whose layers training cannot take over is refused in words, not by lists of keys.

Checkpoints of ``--teaforn-unshared`` hold further decoders. A twin takes them or leaves them out
(``models/unrollable.py``); a stock model would stop at unexpected keys. And what a twin loads of
other layers than its own fits no optimizer's state that was saved beside it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq.models import BaseFairseqModel
from fairseq.trainer import Trainer

from teaforn_fairseq.decoders.base import UNSHARED_PREFIX


class UnfitLayers(ValueError):
    """The checkpoint's parameters are not those of the model."""


def for_twins_only(upgrade_state_dict: Callable) -> Callable:
    """fairseq's step before it loads a state dict, which refuses a twin's further decoders.

    Raises:
        UnfitLayers: from the result, if a stock model is to load them.
    """

    @wraps(upgrade_state_dict)
    def upgrade(model: BaseFairseqModel, state_dict: dict[str, Any]) -> None:
        further = any(key.startswith(UNSHARED_PREFIX) for key in state_dict)
        if further and not hasattr(model, "unshared_decoder"):
            raise UnfitLayers(
                "must be a checkpoint that this architecture can load; received one of"
                " --teaforn-unshared, whose further decoders only teaforn_* architectures have."
                " Write the stock model with teaforn-export, and start from that file."
            )
        upgrade_state_dict(model, state_dict)

    return upgrade


def with_reasons(load_checkpoint: Callable) -> Callable:
    """The trainer's loading, which tells what :class:`UnfitLayers` says and nothing around it.

    Raises:
        ValueError: from the result, if the parameters or the optimizer's state do not fit.
    """

    @wraps(load_checkpoint)
    def load(
        trainer: Trainer, filename: str, reset_optimizer: bool = False, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            return load_checkpoint(trainer, filename, reset_optimizer, *args, **kwargs)
        except Exception as error:
            if isinstance(error.__context__, UnfitLayers):  # fairseq hides what its models raise
                raise ValueError(f"{filename}: {error.__context__}") from None
            unfit = isinstance(error, ValueError) and bool(trainer._optim_history)
            if unfit and getattr(trainer.model, "loaded_other_layers", False):
                raise ValueError(
                    f"{filename}: must be a checkpoint whose layers are shared or unshared as this"
                    " model's are, or its optimizer's state does not fit; received the other kind"
                    f" ({error}). Add --reset-optimizer, or start from it by --finetune-from-model."
                ) from None
            raise

    return load


def apply() -> None:
    """Where fairseq looks them up when it loads a checkpoint."""
    BaseFairseqModel.upgrade_state_dict = for_twins_only(BaseFairseqModel.upgrade_state_dict)
    Trainer.load_checkpoint = with_reasons(Trainer.load_checkpoint)
