"""The virtual environment with the tested set of packages."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from recipes.common import ROOT
from recipes.errors import Failed, Refused
from recipes.lock import locked

VENV = os.environ.get("VENV") or str(ROOT / ".venv")


def commands(extras: str) -> list[list[str]]:
    """What makes it with these extras of the plugin."""
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    return [
        [sys.executable, "-m", "venv", VENV],
        [
            *(f"{VENV}/bin/python", "-m", "pip", "install", "--quiet", *constraints),
            f"{ROOT}[{extras}]",
        ],
    ]


def make(extras: str) -> None:
    """Make it or bring it up to date, unless VENV is none.

    Raises:
        Refused: VENV is none and the active environment has no fairseq, or another process is at
            it.
        Failed: a command failed.
    """
    if VENV == "none":
        if not shutil.which("fairseq-train"):
            raise Refused(
                "VENV=none: takes the active environment as it is, and that has no fairseq-train in"
                " PATH. Install fairseq into it, or leave VENV out."
            )
        return
    stamp = Path(VENV) / f"installed-{extras}"
    if stamp.exists() and stamp.read_text(encoding="utf-8").strip() == _sum():
        return
    with locked("VENV", Path(VENV)):
        print(f"\n== installing into {VENV}", flush=True)
        # Where pip built before; modules that have moved since would be installed with the others.
        shutil.rmtree(ROOT / "build", ignore_errors=True)
        for command in commands(extras):
            status = subprocess.run(command, check=False).returncode
            if status:
                raise Failed(status)
        stamp.write_text(f"{_sum()}\n", encoding="utf-8")


def _sum() -> str:
    """A sum of all that is installed from here."""
    package = ROOT / "teaforn_fairseq"
    files = [ROOT / name for name in ("setup.py", "pyproject.toml", "constraints.txt")]
    files += sorted(package.glob("*.py")) + sorted(package.glob("*/*.py"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def variables() -> dict[str, str]:
    """The environment of the commands: PATH begins with VENV; the plugin as it is here, installed
    or not."""
    here = dict(os.environ)
    if VENV != "none":
        here["PATH"] = f"{VENV}/bin:{here['PATH']}"
    here["PYTHONPATH"] = ":".join(filter(None, [str(ROOT), here.get("PYTHONPATH")]))
    return here
