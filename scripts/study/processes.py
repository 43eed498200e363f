"""The work of a study, some at a time: one that fails leaves the others, and all end together."""

import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock, Timer
from typing import IO, TypeVar

from recipes.errors import Refused

Item = TypeVar("Item")

_running: set[subprocess.Popen] = set()
_lock, _ended = Lock(), Event()


class Ended(Exception):
    """All have been ended, and so this."""


def run_all(
    work: Callable[[Item], object],
    items: Iterable[Item],
    jobs: int,
    stop_after: float | None = None,
) -> list[str]:
    """Do the work on each item.

    Args:
        work: raises ValueError, OSError or Refused where it fails, and Ended.
        items: in this order.
        jobs: so many at a time.
        stop_after: seconds after which all are ended; None: when they have done.

    Returns:
        Why those that failed have, which has also been printed.
    """
    failures: list[str] = []
    _ended.clear()

    def tried(item: Item) -> None:
        try:
            go_on()
            work(item)
        except (ValueError, OSError, Refused) as error:
            failures.append(str(error))
            print(f"failed: {error}", flush=True)
        except Ended:
            pass

    pool, timer = ThreadPoolExecutor(jobs), Timer(stop_after or 0, end_all)
    if stop_after is not None:
        timer.start()
    try:
        list(pool.map(tried, items))
    finally:
        timer.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        end_all()
    return failures


def go_on() -> None:
    """Nothing, unless all have been ended.

    Raises:
        Ended: they have.
    """
    if _ended.is_set():
        raise Ended


def end_all() -> None:
    """End what runs, and let nothing more start."""
    with _lock:
        _ended.set()
        for child in _running:
            child.terminate()


def logged(words: list[str], log: Path, enough: Callable[[str], bool] = lambda _: False) -> None:
    """Run a command that ends by itself, by a line that is enough, or with all others.

    Args:
        words: the command.
        log: what it prints is added to this file.
        enough: is asked for each line.

    Raises:
        ChildProcessError: it failed.
        Ended: all have been ended.
    """
    with open(log, "a", encoding="utf-8") as out:
        child, done = _start(words, subprocess.PIPE, subprocess.STDOUT), False
        for line in child.stdout or ():
            out.write(line)
            out.flush()
            if enough(line):
                done = True
                child.terminate()
        _finish(child, words, log, terminated=done)


def printed(words: list[str], path: Path) -> str:
    """Run a command whose output goes to a new file.

    Returns:
        What it told on the other stream.

    Raises:
        ChildProcessError: it failed.
        Ended: all have been ended.
    """
    messages = path.with_suffix(".messages")
    with open(path, "w", encoding="utf-8") as out, open(messages, "w", encoding="utf-8") as told:
        _finish(_start(words, out, told), words, messages)
    text = messages.read_text(encoding="utf-8", errors="replace")
    messages.unlink()
    return text


def _start(words: list[str], stdout: int | IO[str], stderr: int | IO[str]) -> subprocess.Popen:
    with _lock:  # or one could start behind the back of what ends all
        go_on()
        child = subprocess.Popen(
            words, stdout=stdout, stderr=stderr, text=True, encoding="utf-8", errors="replace"
        )
        _running.add(child)
    return child


def _finish(
    child: subprocess.Popen, words: list[str], log: Path, *, terminated: bool = False
) -> None:
    status = child.wait()
    with _lock:
        _running.remove(child)
    if status and not terminated:
        go_on()
        raise ChildProcessError(f"{' '.join(words)} failed; see {log}")
