"""The recipes on a disk that is full: every stage tells it, leaves nothing half-written, and
finishes when it is run again."""

import json
import shutil
import subprocess

import pytest
from commands import ROOT, run
from recipe_commands import left_over, lines, recipe

SMALL = {"LAYERS": "1", "WIDTH": "16", "FFN": "16", "HEADS": "2"}
AVERAGED = {"MAX_UPDATE": "4", "SAVE_INTERVAL": "2", "AVERAGE": "2"}


@pytest.fixture
def small_disk(tmp_path, request):
    """A file system of its own, 256 KB or what the test's parameter says."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={getattr(request, 'param', '256k')}"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk, free):
    """Leave ``free`` KB on it."""
    (disk / "ballast").write_bytes(b"")
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - free * 1024))


def test_what_comes_before_training(settings, archives, mirror, small_disk):
    env = {**settings, "OUT": str(small_disk / "out"), "MIRROR": mirror}
    told = {
        "download": "is the disk full? Free some space and run again: it goes on where it stopped"
    }
    for stage in ("download", "extract", "clean"):
        fill(small_disk, 4)
        out = recipe("multi30k", stage, env=env, fails=True)
        assert told.get(stage, "error: [Errno 28] No space left on device") in out
        (small_disk / "ballast").unlink()
        recipe("multi30k", stage, env=env)
    for path in (small_disk / "out/download").iterdir():
        assert path.read_bytes() == (archives / path.name).read_bytes()
    assert len(lines(small_disk / "out/clean/train.de")) == 300
    assert not left_over(small_disk)


NO_SETTINGS = "settings: the command above failed, or the disk is full. Run again"
NO_SPACE = "[Errno 28] No space left on device"
STOPPED = "What it saved in"
# Stage, KB that are left, what is told.
FULL = [
    ("preprocess", 0, f"error: {NO_SPACE}"),
    ("preprocess", 12, f"error: {NO_SPACE}"),  # the subwords' model
    ("preprocess", 300, NO_SPACE),  # fairseq-preprocess
    ("train", 0, NO_SETTINGS),
    ("train", 40, STOPPED),  # a checkpoint
    ("average", 12, "error: OUT: could not be written: is the disk full?"),
    ("generate", 0, "beam1.txt: the command above failed, or the disk is full. Run again"),
    ("generate", 12, "beam1.txt: the command above failed, or the disk is full. Run again"),
    ("score", 0, f"error: --json: {NO_SPACE}"),
]


@pytest.mark.parametrize("small_disk", ["32m"], indirect=True)
def test_from_preprocessing_to_the_score(settings, archives, small_disk):
    env = {**settings, **SMALL, **AVERAGED, "OUT": str(small_disk / "out")}
    env |= {"DATA": str(archives), "MIRROR": ""}
    recipe("multi30k", "download", "extract", "clean", env=env)
    for stage in ("preprocess", "train", "average", "generate", "score"):
        for free, told in (x[1:] for x in FULL if x[0] == stage):
            fill(small_disk, free)
            out = recipe("multi30k", stage, env=env, fails=True)
            assert told in out, out
            (small_disk / "ballast").unlink()
        recipe("multi30k", stage, env=env)
    run = small_disk / "out/n2-seed1"
    assert json.loads((run / "report.json").read_text())["runs"][0]["updates"] == 4
    assert not left_over(small_disk)


def test_too_small_a_disk_is_told_before_work(settings, small_disk):
    settings |= {"OUT": str(small_disk / "out"), "CHECK_DISK": "1", "MAX_UPDATE": ""}
    out = recipe("wmt14_en_fr", env=settings, fails=True)
    assert out.endswith(
        f"error: OUT={small_disk}/out: the stage download needs 6.7 GB of disk; free are 0.0 GB."
        " Free some, choose another OUT, or set CHECK_DISK=0 to go on all the same.\n"
    )
    assert not list(small_disk.iterdir())


def test_the_quickstart_tells_too_small_a_disk_before_work(small_disk):
    env = {"VENV": "none", "GPUS": "0", "OUT": str(small_disk / "out")}
    out = run(ROOT / "scripts/quickstart.sh", env=env, fails=True)
    assert out.endswith(
        "== extract: needs up to 0.1 GB of disk, 0.1 GB of memory, a minute\n"
        f"error: OUT={small_disk}/out/path_star: the stage extract needs 0.1 GB of disk; free are"
        " 0.0 GB. Free some, choose another OUT, or set CHECK_DISK=0 to go on all the same.\n"
    )
    assert not list(small_disk.iterdir())
