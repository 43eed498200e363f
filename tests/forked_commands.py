"""Any fairseq command as a fork of a process that has imported fairseq; forked.py has training."""

import importlib
import multiprocessing
import os
import sys

from forked import CONTEXT


def command(module, *words, log, stdin=os.devnull, fails=False):
    """``fairseq_cli.<module>`` with these words; what it printed, on both streams.

    Raises:
        AssertionError: it failed, or with ``fails`` it succeeded.
    """
    process = CONTEXT.Process(
        target=_run, args=(module, [str(word) for word in words], str(log), str(stdin))
    )
    process.start()
    process.join()
    printed = log.read_text()
    assert (process.exitcode != 0) == fails, printed
    return printed


def _run(module, words, log, stdin):
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    sys.stdin = os.fdopen(0)  # a fork's is closed
    multiprocessing.set_start_method(None, force=True)  # data loaders start as in the command
    sys.argv = [f"fairseq-{module}", *words]
    importlib.import_module(f"fairseq_cli.{module}").cli_main()
