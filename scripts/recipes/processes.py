"""Commands as child processes that never outlive this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from recipes import guard
from recipes.errors import Stopped

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes:
    """Runs one command at a time, each in a process group of its own.

    A command ends with this process: when a signal stops it, and by the guard when it is killed.
    """

    def __init__(self, environment: dict[str, str]):
        self.environment = environment
        self.child: subprocess.Popen | None = None
        self.guard: IO[str] | None = None
        self.starting, self.asked = False, 0

    def run(self, words: Sequence[str], *, stdout=None) -> tuple[int, str]:
        """Run a command.

        Args:
            words: of the command.
            stdout: as of ``subprocess``.

        Returns:
            Its exit status, and what it printed where ``stdout`` is PIPE.

        Raises:
            Stopped: a signal came; the command has ended.
        """
        self.starting = True
        text = stdout == subprocess.PIPE
        child = subprocess.Popen(
            words, env=self.environment, stdout=stdout, text=text, process_group=0
        )
        self.child = child
        try:
            self._watch(child.pid)
            self.starting = False
            if self.asked:
                raise Stopped(self.asked)
            out, _ = child.communicate()
        except BaseException:
            end(child)
            raise
        finally:
            self.child, self.starting = None, False
            self._watch(0)
        return child.returncode, out or ""

    def _watch(self, group: int) -> None:
        if self.guard:
            self.guard.write(f"{group}\n")
            self.guard.flush()

    @contextmanager
    def guarded(self, lock: int) -> Iterator[None]:
        """Let commands end with this process even where it is killed, and hold the lock until they
        have.

        Args:
            lock: file descriptor of the lock.
        """
        process = subprocess.Popen(
            [sys.executable, guard.__file__],
            stdin=subprocess.PIPE,
            text=True,
            pass_fds=(lock,),
            start_new_session=True,
        )
        with process:  # its input is closed at the end, and its own end waited for
            self.guard = process.stdin
            yield
        self.guard = None

    def catch_signals(self) -> None:
        """Let signals that end raise Stopped, and commands rest and go on with this process."""
        for number in STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._stop)
        signal.signal(signal.SIGTSTP, self._rest)

    def _stop(self, number: int, _) -> None:
        if self.asked:
            return  # already ending
        self.asked = number
        if not self.starting:  # else as soon as it is known what there is to end
            raise Stopped(number)

    def _rest(self, *_) -> None:
        group = self.child.pid if self.child else None
        if group:
            os.killpg(group, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        if group:
            os.killpg(group, signal.SIGCONT)


def end(child: subprocess.Popen) -> None:
    """End a command and all that it has started: ask, and kill what stays."""
    for number, patience in ((signal.SIGTERM, guard.PATIENCE), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, number)
            child.wait(patience)
