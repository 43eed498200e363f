"""The log says which code of this plugin runs, and warns if it is not the folder that was named.

The modules import each other by the package's name, so a copy of the folder under another name runs
the package that Python finds as ``teaforn_fairseq``: an installed one, for instance.
"""

import logging
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from fairseq import tasks, utils
from fairseq.distributed.utils import get_global_rank

from teaforn_fairseq import __version__

PACKAGE = Path(__file__).resolve().parents[1]
OURS = Path("criterions/teaforn_cross_entropy.py")

logger = logging.getLogger(__name__)


@cache
def log_which_code() -> None:
    """Log it, once in a run."""
    if get_global_rank() > 0:
        return
    logger.info("teaforn_fairseq %s from %s", __version__, PACKAGE)
    for named in getattr(utils.import_user_module, "memo", ()):
        folder = Path(named).resolve()
        if folder != PACKAGE and (folder / OURS).is_file():
            logger.warning(
                "--user-dir: must be the folder whose code is to run; received %s, but the code of"
                " %s runs, which Python finds as the package teaforn_fairseq. To run the copy, name"
                " its folder teaforn_fairseq.",
                named,
                PACKAGE,
            )


def logged(setup_task: Callable) -> Callable:
    """fairseq's making of the task: the first thing that all commands do once they can log."""

    @wraps(setup_task)
    def setup(*args: Any, **kwargs: Any) -> tasks.FairseqTask:
        log_which_code()
        return setup_task(*args, **kwargs)

    return setup


def apply() -> None:
    """Where the commands look it up, also in processes that they start."""
    tasks.setup_task = logged(tasks.setup_task)
