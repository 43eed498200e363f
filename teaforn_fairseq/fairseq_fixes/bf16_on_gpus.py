"""``--bf16`` is for GPUs too.

fairseq takes the flag for a wish to train on TPUs, and then stops where PyTorch has no XLA.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq import utils
from fairseq.distributed import utils as distributed_utils
from omegaconf import open_dict


def without_tpus(call_main: Callable) -> Callable:
    """fairseq's start of a command, which looks for no TPU where there can be none."""

    @wraps(call_main)
    def call(cfg: Any, main: Callable, **kwargs: Any) -> Any:
        if cfg.common.bf16 and utils.xm is None:
            with open_dict(cfg):
                cfg.common.tpu = False
        return call_main(cfg, main, **kwargs)

    return call


def apply() -> None:
    """Where fairseq's commands look it up, when the plugin is imported already."""
    distributed_utils.call_main = without_tpus(distributed_utils.call_main)
