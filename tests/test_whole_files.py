"""What saving and exporting may replace: regular files alone, and what a link leads to."""

import os
import socket
from pathlib import Path

import pytest
from commands import TEAFORN, train
from fairseq import checkpoint_utils

from teaforn_fairseq.export.command import main as export
from teaforn_fairseq.fairseq_fixes.exact_resume import WholeFiles
from teaforn_fairseq.files import kind, place_of_file


def device(path):
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 3))  # another /dev/null
    except PermissionError:
        pytest.skip("needs the right to make devices")


def a_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


SPECIAL = {"a device": device, "a pipe": os.mkfifo, "a socket": a_socket, "a folder": os.mkdir}


@pytest.mark.parametrize(("name", "make"), SPECIAL.items(), ids=SPECIAL)
@pytest.mark.parametrize("linked", [False, True])
def test_nothing_special_is_replaced(last, tmp_path, name, make, linked):
    out = tmp_path / "out"
    make(out)
    before = os.lstat(out)
    if linked:
        os.symlink(out, tmp_path / "link")
        out = tmp_path / "link"
    source = tmp_path / "source"
    source.write_bytes(b"new")
    message = f"{out}: must be a regular file, or not be there yet; received {name}. Choose"
    for put in (WholeFiles.rename, WholeFiles.copy):
        with pytest.raises(ValueError, match=f"^{message}"):
            put(str(source), str(out))
    for force in ([], ["--force"]):
        with pytest.raises(SystemExit, match="^error: OUT: must"):
            export([str(last), str(out), *force])
    after = os.lstat(tmp_path / "out")
    assert (after.st_mode, after.st_ino, after.st_rdev) == (
        *(before.st_mode, before.st_ino, before.st_rdev),
    )
    assert source.read_bytes() == b"new"
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "link", "source"}


def test_a_device_is_told_to_be_one(last, tmp_path):
    out = tmp_path / "null"
    device(out)
    with pytest.raises(SystemExit) as refusal:
        export([str(last), "--force", str(out)])
    assert str(refusal.value) == (
        f"error: OUT: must be a file, or not be there yet; received a device, {out}. Choose another"
        " name."
    )


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(last, tmp_path, there):
    target, link = tmp_path / "far/model.pt", tmp_path / "near/model.pt"
    for folder in (target.parent, link.parent):
        folder.mkdir()
    link.symlink_to(Path("../far/model.pt"))
    if there:
        target.write_bytes(b"old")
    with pytest.raises(SystemExit, match="must not be there yet"):
        export([str(last), str(link)])
    export([str(last), "--force", str(link)])
    exported = target.read_bytes()
    assert link.is_symlink() and len(exported) > 1000
    source = tmp_path / "source"
    for put, data in ((WholeFiles.copy, b"new"), (WholeFiles.rename, b"newer")):
        source.write_bytes(data)
        put(str(source), str(link))
        assert link.is_symlink() and target.read_bytes() == data
    assert os.listdir(target.parent) == os.listdir(link.parent) == ["model.pt"]
    assert not source.exists()


def test_a_link_to_another_disk_is_followed(tmp_path):
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system that can be written to")
    target = other / f"teaforn-{os.getpid()}.pt"
    link, source = tmp_path / "link", tmp_path / "source"
    link.symlink_to(target)
    try:
        for put in (WholeFiles.rename, WholeFiles.copy):
            source.write_bytes(b"new")
            put(str(source), str(link))
            assert link.is_symlink() and target.read_bytes() == b"new"
        assert not list(other.glob(f"{target.name}?*"))
    finally:
        target.unlink(missing_ok=True)


def test_links_in_a_circle_are_refused(last, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        place_of_file(tmp_path / "a")
    with pytest.raises(SystemExit, match="^error: .*symbolic links"):
        export([str(last), "--force", str(tmp_path / "a")])


def test_training_saves_through_links(data, tmp_path):
    save_dir, far = tmp_path / "run", tmp_path / "far"
    for folder in (save_dir, far):
        folder.mkdir()
    names = ["checkpoint_best.pt", "checkpoint_last.pt"]  # the first is renamed, the other copied
    for name in names:
        (save_dir / name).symlink_to(far / name)
    train(data, save_dir, *TEAFORN, "--max-update", "1")
    for name in names:
        assert (save_dir / name).is_symlink() and kind(far / name) == "a file"
        state = checkpoint_utils.load_checkpoint_to_cpu(str(save_dir / name))
        assert state["optimizer_history"][-1]["num_updates"] == 1
    assert sorted(os.listdir(save_dir)) == sorted(os.listdir(far)) == names
