"""fairseq-train as forks of one process that has imported fairseq: a start costs no import.

The code is the command's own, its ``main`` included; ranks and kills are real.
"""

import multiprocessing
import os
import sys
from pathlib import Path

from commands import PLUGIN, TINY, TRANSLATION, TWIN, log_records

CONTEXT = multiprocessing.get_context("forkserver")
# The last is imported by the first optimizer that is made.
CONTEXT.set_forkserver_preload(["fairseq_cli.train", "teaforn_fairseq", "torch._dynamo"])


class Training:
    """A running fairseq-train, which ``kill`` ends by SIGKILL."""

    def __init__(self, data, save_dir, *options, log, task=(*TWIN, *TRANSLATION)):
        words = [data, "--user-dir", PLUGIN, *task, "--save-dir", save_dir, *TINY]
        self.log = Path(log)
        self.process = CONTEXT.Process(
            target=_command, args=([str(word) for word in [*words, *options]], str(log))
        )
        self.process.start()

    def kill(self):
        self.process.kill()
        self.process.join()

    def finish(self, seconds=240, fails=False):
        """Wait for its end; return its log's records, or with ``fails`` what it printed."""
        self.process.join(seconds)
        running = self.process.is_alive()
        if running:
            self.kill()
        printed = self.log.read_text()
        assert not running, f"no end in {seconds} s: {printed}"
        assert (self.process.exitcode != 0) == fails, printed
        return printed if fails else log_records(printed)


def train(data, save_dir, *options, log, **kwargs):
    """One fairseq-train from start to end."""
    return Training(data, save_dir, *options, log=log).finish(**kwargs)


def _command(words, log):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    multiprocessing.set_start_method(None, force=True)  # data loaders start as in the command
    sys.argv = ["fairseq-train", *words]
    from fairseq_cli.train import cli_main

    cli_main()
