"""A checkpoint that was asked for by name is loaded, or training stops."""

import os
import re
import shutil

import pytest
from commands import TEAFORN, Training, train

SHORT = [*TEAFORN, "--disable-validation", "--max-update"]
RANKS = [
    *("--ddp-backend", "legacy_ddp", "--distributed-backend", "gloo"),
    *("--distributed-no-spawn", "--distributed-world-size", "2", "--distributed-rank"),
]
MISSING = {
    "restore, no file": ("--restore-file", "mistyped.pt", "no file"),
    "restore, a folder": ("--restore-file", "folder", "a folder"),
    "restore, a pipe": ("--restore-file", "pipe", "a pipe"),
    "finetune, a folder": ("--finetune-from-model", "folder", "a folder"),
    "continue, no file": ("--continue-once", "mistyped.pt", "no file"),
}


@pytest.fixture(scope="module")
def second(data, made_once):
    """A checkpoint after two updates."""
    folder, _ = made_once("second", lambda folder: train(data, folder, *SHORT, "2"))
    return folder / "checkpoint_last.pt"


def refused(training, flag, path, what):
    printed = training.finish(fails=True)
    rule = rf"ValueError: {flag}: must be a checkpoint; received {re.escape(str(path))}, which is"
    assert re.search(rf"^{rule} {what}", printed, flags=re.MULTILINE), printed
    assert "num_updates" not in printed


@pytest.mark.parametrize(("flag", "name", "what"), MISSING.values(), ids=MISSING)
def test_training_stops_where_it_is_not_there(data, tmp_path, flag, name, what):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    options = [*SHORT, "1", flag, tmp_path / name]
    training = Training(data, tmp_path / "run", *options, log=tmp_path / "log")
    refused(training, flag, tmp_path / name, what)
    assert not list((tmp_path / "run").glob("*.pt"))


def test_every_process_of_several_stops(data, tmp_path):
    options = [*SHORT, "1", "--restore-file", tmp_path / "mistyped.pt", "--save-dir"]
    options += [tmp_path / "run", "--distributed-init-method", f"file://{tmp_path}/store", *RANKS]
    ranks = [
        Training(data, tmp_path / "run", *options, rank, log=tmp_path / rank) for rank in ("0", "1")
    ]
    for rank in ranks:
        refused(rank, "--restore-file", tmp_path / "mistyped.pt", "no file")


def updates(log):
    return [record["num_updates"] for record in log["train_inner"]]


def test_what_is_there_is_loaded(data, second, tmp_path):
    log = train(data, tmp_path / "a", *SHORT, "4", "--restore-file", second)
    assert updates(log) == ["3", "4"]
    options = [*SHORT, "2", "--finetune-from-model", second]
    log = Training(data, tmp_path / "b", *options, log=tmp_path / "finetune").finish()
    assert updates(log) == ["1", "2"]
    assert f"Loaded checkpoint {second}" in (tmp_path / "finetune").read_text()


def test_a_first_run_starts_and_a_resumed_one_needs_its_own_checkpoint_alone(
    data, second, tmp_path
):
    model = shutil.copy(second, tmp_path / "model.pt")
    run, finetune = tmp_path / "run", ["--finetune-from-model", model]
    train(data, run, *SHORT, "1", *finetune)
    model.unlink()
    log = train(data, run, *SHORT, "2", *finetune)
    assert updates(log) == ["2"]
    log = train(data, run, *SHORT, "3", "--restore-file", "checkpoint_last.pt")
    assert updates(log) == ["3"]
