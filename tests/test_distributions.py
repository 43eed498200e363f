"""The wheel and the source archive: what is in them, and that the wheel trains.

As ``python -m build`` makes them from a fresh clone, by what is installed and without network.
"""

import os
import re
import shutil
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import fairseq
import pytest
from commands import PLUGIN, ROOT, TINY, TRANSLATION, TWIN, log_records, run

from teaforn_fairseq import __version__

NAME = f"teaforn_fairseq-{__version__}"
INFO = f"{NAME}.dist-info"
PACKAGE = {
    str(path.relative_to(ROOT))
    for path in PLUGIN.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
# What a reader of the archive needs beside the package; the rest needs the repository.
BESIDE = {
    *("CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md"),
    *("MANIFEST.in", "constraints.txt", "pyproject.toml", "setup.py"),
}
OF_SETUPTOOLS = {"PKG-INFO", "setup.cfg"}


@pytest.fixture(scope="session")
def distributions(made_once):
    """A folder with the source archive, and the wheel that is built from it."""

    def make(folder):
        clone, out = folder / "clone", folder / "dist"
        ignore = shutil.ignore_patterns("__pycache__")
        for name in ("teaforn_fairseq", "tests", "scripts", "docs"):
            shutil.copytree(ROOT / name, clone / name, ignore=ignore)
        for path in (x for x in ROOT.iterdir() if x.is_file()):
            shutil.copy(path, clone)
        out.mkdir()
        build = f"from setuptools.build_meta import build_sdist; build_sdist({str(out)!r})"
        run("python", "-c", build, cwd=clone)
        run(
            *("python", "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"),
            *("--wheel-dir", out, out / f"{NAME}.tar.gz"),
            cwd=folder,
        )

    return made_once("distributions", make)[0] / "dist"


@pytest.fixture
def wheel(distributions):
    return distributions / f"{NAME}-py3-none-any.whl"


def test_the_wheel_has_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        commands = file.read(f"{INFO}/entry_points.txt").decode()
        metadata = file.read(f"{INFO}/METADATA").decode()
    assert {x for x in names if not x.startswith(f"{INFO}/")} == PACKAGE
    assert f"{INFO}/licenses/LICENSE" in names
    told = re.findall(r"^[\w-]+", commands, re.M)
    assert told == ["teaforn-beams", "teaforn-export", "teaforn-exposure"]
    assert f"\nVersion: {__version__}\n" in metadata
    assert (ROOT / "README.md").read_text(encoding="utf-8") in metadata


def test_the_source_archive_has_what_the_readme_installs_with(distributions):
    with tarfile.open(distributions / f"{NAME}.tar.gz") as archive:
        names = {x.name.removeprefix(f"{NAME}/") for x in archive.getmembers() if x.isfile()}
    made = {x for x in names if x in OF_SETUPTOOLS or x.startswith("teaforn_fairseq.egg-info/")}
    assert names - made == PACKAGE | BESIDE


def test_both_are_fit_for_an_index(distributions):
    if not find_spec("twine"):
        pytest.skip('needs the extra "dev", which brings twine')
    out = run("python", "-m", "twine", "check", "--strict", *sorted(distributions.iterdir()))
    assert out.count("PASSED") == 2


@pytest.fixture
def site(wheel, tmp_path):
    """A folder for packages with fairseq, as links, and the wheel, as pip installs it."""
    folder = tmp_path / "site"
    ignore = shutil.ignore_patterns("__pycache__", "examples")
    origin = Path(fairseq.__file__).parent
    shutil.copytree(origin, folder / "fairseq", ignore=ignore, copy_function=os.symlink)
    run(
        *("python", "-m", "pip", "install", "--no-index", "--no-deps", "--target", folder, wheel),
        cwd=tmp_path,
    )
    return folder


def test_the_installed_wheel_trains_and_exports_from_an_empty_folder(data, site, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {"PYTHONPATH": str(site)}
    plugin = ("--user-dir", "teaforn_fairseq", *TWIN, "--criterion", "teaforn_cross_entropy")
    options = (*TINY, *TRANSLATION, "--max-update", "4")
    out = run("fairseq-train", data, *plugin, *options, cwd=empty, env=env, process=True)
    assert f"teaforn_fairseq {__version__} from {site / 'teaforn_fairseq'}\n" in out
    assert [x["num_updates"] for x in log_records(out)["train_inner"]] == ["1", "2", "3", "4"]
    last, stock = "checkpoints/checkpoint_last.pt", "checkpoints/stock.pt"
    run(site / "bin/teaforn-export", last, stock, cwd=empty, env=env)
    assert {x.name for x in empty.iterdir()} == {"checkpoints"}
    assert (empty / stock).is_file()
