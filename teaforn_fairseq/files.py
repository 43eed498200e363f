"""Where results may be written, over a regular file or where nothing is; and writing them whole."""

import os
import stat
import tempfile
from pathlib import Path

KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def kind(path: str | Path) -> str | None:
    """What is at ``path``, links followed, in words; None where nothing is.

    Raises:
        OSError: links in a circle, or a folder that may not be entered.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    return KINDS.get(stat.S_IFMT(mode), "something else")


def place_of_file(path: str | Path) -> Path:
    """The file that a write to ``path`` replaces or makes: what its links lead to, or itself.

    Raises:
        ValueError: something that is no regular file is there.
        OSError: as :func:`kind`.
    """
    found = kind(path)
    if found not in (None, "a file"):
        raise ValueError(
            f"{path}: must be a regular file, or not be there yet; received {found}. Choose"
            " another place."
        )
    return Path(os.path.realpath(path))


def require_place(out: Path) -> None:
    """Make the folder ``--out`` of results, and stop unless it can be written to.

    Raises:
        ValueError: it cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"--out: must be a folder that can be written to; received {out} ({error.strerror})."
        ) from None


def put_whole(path: Path, content: bytes) -> None:
    """Write a file as a whole, or leave what was there.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
