"""Run commands and move files, or print them as lines of a shell that do the same."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from recipes import files
from recipes.errors import Failed, Refused
from recipes.processes import Processes

Word = str | Path


class Shell:
    """What a recipe does to the world.

    Attributes:
        dry: print, and do nothing.
        processes: that run the commands.
    """

    def __init__(self, processes: Processes, *, dry: bool):
        self.processes, self.dry = processes, dry

    def note(self, text: str) -> None:
        """A headline."""
        print(f"\n{'# ' if self.dry else ''}== {text}", flush=True)

    def tell(self, text: str) -> None:
        """A line that is no command."""
        print(f"{'# ' if self.dry else ''}{text}", flush=True)

    def print(self, *words: Word) -> None:
        """A line of shell."""
        print(quoted(*words), flush=True)

    def pipe(self, first: Sequence[Word], second: Sequence[Word]) -> None:
        """A line of shell with two commands."""
        print(f"{quoted(*first)} | {quoted(*second)}", flush=True)

    def run(self, *words: Word, to: Path | None = None) -> None:
        """Run a command; with ``to`` what it prints goes to this file, whole or not at all.

        Raises:
            Failed: it failed, and has told why.
            Refused: the file is not written.
        """
        if self.dry:
            print(quoted(*words) + (f" > {quoted(to)}" if to else ""), flush=True)
        elif to:
            self._run_to(to, words)
        else:
            status, _ = self.processes.run([str(word) for word in words])
            if status:
                raise Failed(status)

    def _run_to(self, path: Path, words: Sequence[Word]) -> None:
        partial = files.partial(path)
        with open(partial, "wb") as out:
            status, _ = self.processes.run([str(word) for word in words], stdout=out)
        if status:
            raise files.not_written(path)
        os.replace(partial, files.target(path))

    def read(self, *words: Word) -> tuple[int, str]:
        """Exit status of a command and what it printed, without the line's end."""
        command = [str(word) for word in words]
        status, out = self.processes.run(command, stdout=subprocess.PIPE)
        return status, out.strip()

    def folder(self, path: Path) -> None:
        """Make a folder and those above it."""
        if self.dry:
            self.print("mkdir", "-p", path)
        else:
            path.mkdir(parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Remove a folder with all that is in it."""
        if self.dry:
            self.print("rm", "-rf", path)
        elif path.is_symlink():
            raise Refused(f"{path}: is a link, where a folder of a recipe's own is to be.")
        elif path.exists():
            shutil.rmtree(path)

    def move(self, source: Path, to: Path) -> None:
        """Rename what is complete."""
        if self.dry:
            self.print("mv", source, to)
        elif to.is_symlink():
            raise Refused(f"{to}: is a link to nothing. Remove it, or make what it names.")
        else:
            os.replace(source, to)

    def link(self, source: Path, to: Path) -> None:
        """Link to a file."""
        if self.dry:
            self.print("ln", "-s", source, to)
        else:
            to.symlink_to(source)

    def copy(self, sources: Sequence[Path], folder: Path) -> None:
        """Copy files."""
        if self.dry:
            self.print("cp", *sources, folder)
        else:
            for source in sources:
                shutil.copyfile(source, folder / source.name)


def quoted(*words: Word) -> str:
    """Words of a shell."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if "checkpoint_*_" not in word:
        return shlex.quote(word)
    # The * stays bare: the shell is to find the epoch in a checkpoint's name.
    return "*".join(shlex.quote(part) for part in word.split("*"))
