"""A command line of this environment as a fork of a server that has imported PyTorch and fairseq.

It runs the command's own ``__main__`` with its arguments, folder, environment and import path, and
ends in its exit status. It differs from a process in this: what the imports of PyTorch and fairseq
print is not printed, and what is registered to run at exit does not run. The plugin is not imported
beforehand. Ranks and kills are real.
"""

import functools
import logging
import multiprocessing
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

import numpy
import torch

BIN = Path(sys.executable).parent
CONTEXT = multiprocessing.get_context("forkserver")
# The last is imported by the first optimizer that is made.
CONTEXT.set_forkserver_preload(["fairseq", "torch._dynamo"])


def can_fork(words):
    """Whether it is a Python command that spends its first seconds on importing fairseq."""
    return words[0].startswith("fairseq-") or words[:3] in MODULES


MODULES = [["python", "-m", f"teaforn_fairseq.{name}"] for name in ("beams", "export", "exposure")]


class Fork:
    """A running command, which ``kill`` ends by SIGKILL; it prints to the file ``log``."""

    def __init__(self, words, log, *, cwd=None, env=None):
        self.log = Path(log)
        self.log.touch()  # there is something to show whatever happens
        place = str(cwd or Path.cwd()), environment(env)
        words = [str(word) for word in words]
        self.process = CONTEXT.Process(
            target=_run, args=(words, str(log), *place, import_path(words, *place))
        )
        self.process.start()

    def kill(self):
        self.process.kill()
        self.process.join()

    def finish(self, seconds=600, fails=False):
        """Wait for its end; return what it printed, on both streams.

        Raises:
            AssertionError: it failed, or with ``fails`` it succeeded, or it did not end.
        """
        self.process.join(seconds)
        running = self.process.is_alive()
        if running:
            self.kill()
        printed = self.log.read_text(encoding="utf-8")
        assert not running, f"no end in {seconds} s: {printed}"
        assert (self.process.exitcode != 0) == fails, printed
        return printed


def environment(env=None):
    """This process's, with this environment's commands first on the path, and ``env``."""
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **(env or {})}


def import_path(words, cwd, env):
    """``sys.path`` as a new process has it; pytest's own is longer."""
    first = cwd if words[0] == "python" else str(BIN)
    return [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *installed()]


@functools.cache
def installed():
    """What a new Python of this environment has on its path, ``PYTHONPATH`` aside."""
    command = [sys.executable, "-c", "import sys; print(*sys.path[1:], sep='\\n')"]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.check_output(command, env=env, text=True).splitlines()


def _run(words, log, cwd, env, path):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = path
    multiprocessing.set_start_method(None, force=True)  # data loaders start as in the command
    numpy.random.seed()  # two forks draw different numbers, as two processes do
    torch.seed()
    if words[0] == "fairseq-train":  # alone configures logging before importing fairseq does
        logging.root.handlers.clear()
    try:
        if words[0] == "python":
            sys.argv = words[1:2] + words[3:]
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [str(BIN / words[0]), *words[1:]]
            runpy.run_path(sys.argv[0], run_name="__main__")
    except Exception:
        traceback.print_exc()
        sys.exit(1)
