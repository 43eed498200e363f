"""One process a folder: a lock that the system lifts when its owner is gone, however it ended."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from recipes.errors import Refused

PATIENCE = 15.0  # seconds for what a killed owner has started to end


@contextmanager
def locked(name: str, folder: Path) -> Iterator[int]:
    """Hold the lock of a folder, which is made if it is not there.

    Args:
        name: of the setting that names the folder, for the message.
        folder: to lock.

    Yields:
        The lock's file descriptor: whoever inherits it holds the lock as well.

    Raises:
        Refused: another process has it, the file system has no locks, or no folder can be there.
    """
    with _lock_file(name, folder) as file:
        until = time.monotonic() + PATIENCE
        while not _taken(name, folder, file.fileno()):
            owner = _owner(file)
            if _alive(owner) or time.monotonic() > until:
                raise Refused(
                    f"{name}={folder}: {_told(owner)} works there. Wait until it has finished, or"
                    f" choose another {name}."
                )
            time.sleep(0.05)
        _sign(file)
        yield file.fileno()


def _lock_file(name: str, folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(folder / ".lock", "a+", encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{name}={folder}: must be a folder that can be made and written to;"
            f" {error.strerror}. Choose another {name}."
        ) from error


def _taken(name: str, folder: Path, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise Refused(
            f"{name}={folder}: cannot be locked ({error.strerror}), so that nothing keeps a second"
            f" run out. Choose a folder on another file system."
        ) from error
    return True


def _owner(file) -> list[str]:
    """Process and machine of the owner."""
    file.seek(0)
    return file.read().split()


def _alive(owner: list[str]) -> bool:
    """Whether the owner may still run; of another machine one cannot know."""
    if len(owner) != 2 or owner[1] != socket.gethostname():
        return len(owner) == 2
    try:
        os.kill(int(owner[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _told(owner: list[str]) -> str:
    if len(owner) != 2:
        return "another process"
    process = f"process {owner[0]}"
    return process if owner[1] == socket.gethostname() else f"{process} on {owner[1]}"


def _sign(file) -> None:
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}\n")
        file.flush()
    except OSError as error:  # the lock holds without a name
        if error.errno != errno.ENOSPC:
            raise
