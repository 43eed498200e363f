"""A checkpoint that would run a program is refused, and the program does not run."""

import os
import re
import warnings

import pytest
import torch
from commands import FRESH, PLUGIN, TEAFORN, TWIN, Training, run
from fairseq import checkpoint_utils
from report import training
from unsafe import Program, torch_before_2_6

from teaforn_fairseq.export.command import main as export
from teaforn_fairseq.fairseq_fixes.safe_loading import read_checkpoint

WRITTEN = "must be a checkpoint written by fairseq-train; received a file that PyTorch's safe"


@pytest.fixture
def hostile(trained, edited, tmp_path):
    """A real checkpoint with a program in it, and the file that the program would write."""
    mark = tmp_path / "the_program_ran"
    program = Program(f"touch {mark}")
    folder, _ = trained
    yield edited(folder / "checkpoint_last.pt", lambda state: state.update(note=program)), mark
    assert not mark.exists()


def refused(path):
    return f"{path}: {WRITTEN} loader refuses: it asks for {os.name}.system, which could run a"


def test_the_program_of_this_test_runs_when_it_is_loaded_unsafely(trained, edited, tmp_path):
    mark = tmp_path / "mark"
    program = Program(f"touch {mark}")
    path = edited(trained[0] / "checkpoint_last.pt", lambda state: state.update(note=program))
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("option", ["--restore-file", "--finetune-from-model", None])
def test_training_refuses_it(data, hostile, tmp_path, option):
    path, _ = hostile
    save_dir = tmp_path / "run"
    load = [option, path]
    if option is None:  # it lies where training looks for its own
        save_dir.mkdir()
        path, load = path.rename(save_dir / "checkpoint_last.pt"), []
    options = [*TEAFORN, *load, *(FRESH if option == "--restore-file" else [])]
    log = tmp_path / "log"
    printed = Training(data, save_dir, *options, log=log).finish(fails=True)
    assert printed.splitlines()[-1].startswith(f"ValueError: {refused(path)}")
    assert "num_updates" not in printed


def test_generation_refuses_it(data, hostile):
    path, _ = hostile
    printed = run(
        *("fairseq-generate", data, "--user-dir", PLUGIN, "--path", path, "--cpu"), fails=True
    )
    assert refused(path) in printed.splitlines()[-1]


@pytest.mark.parametrize("kind", ["single", "average", "ctranslate2"])
def test_export_refuses_it(trained, hostile, tmp_path, kind):
    path, _ = hostile
    words = {
        "single": [path],
        "average": [trained[0] / "checkpoint_last.pt", path],
        "ctranslate2": ["--format", "ctranslate2", path],
    }[kind]
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=f"^error: {re.escape(refused(path))}"):
        export([str(word) for word in [*words, out]])
    assert not out.exists()


def test_it_is_refused_where_torch_loads_unsafely_by_default(hostile, monkeypatch):
    path, _ = hostile
    torch_before_2_6(monkeypatch)
    for load in (
        checkpoint_utils.load_checkpoint_to_cpu,
        checkpoint_utils.load_ema_from_checkpoint,
        lambda path: checkpoint_utils.load_model_ensemble([path]),
    ):
        with pytest.raises(ValueError, match=re.escape(refused(path))):
            load(str(path))


def test_who_set_pytorchs_unsafe_switch_is_obeyed(trained, edited, tmp_path, monkeypatch):
    path = edited(trained[0] / "checkpoint_last.pt", lambda state: state.update(note=tmp_path))
    with pytest.raises(ValueError, match=WRITTEN):
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with warnings.catch_warnings(action="ignore"):  # torch 2.6 and newer warn
        assert checkpoint_utils.load_checkpoint_to_cpu(str(path))["note"] == tmp_path


NO_CHECKPOINT = "must be a checkpoint written by fairseq-train; received a file"
CANNOT = rf"{NO_CHECKPOINT} that cannot be read: \w+: .* It may be damaged, or of another kind"
FOREIGN = {
    "tensors": ({"a": torch.zeros(1)}, "without the entries model, optimizer_history, extra_state"),
    "list": ([1], "that holds the type list"),
    "tensor": (torch.zeros(2), "that holds the type Tensor"),
    "no model": ({"optimizer_history": [{}], "extra_state": {}}, "without the entries model"),
    "no history": (
        {"model": {}, "optimizer_history": [], "extra_state": {}},
        "whose entry optimizer_history names no optimizer",
    ),
    "cfg": (
        {"model": {}, "optimizer_history": [{}], "extra_state": {}, "cfg": 5},
        "whose entry cfg is of the type int",
    ),
}


def readers():
    """Every way in which fairseq and we read a checkpoint."""
    yield checkpoint_utils.load_checkpoint_to_cpu
    yield checkpoint_utils.load_ema_from_checkpoint
    yield read_checkpoint
    yield training


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_a_damaged_file_is_named(trained, tmp_path, damage):
    path = tmp_path / "damaged.pt"
    whole = (trained[0] / "checkpoint_last.pt").read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "text": b"a b\n"}[damage])
    for read in readers():
        with pytest.raises(ValueError, match=rf"^{path}: {CANNOT}"):
            read(path)


@pytest.mark.parametrize(("state", "problem"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_holds_something_else_is_not_called_damaged(tmp_path, state, problem):
    path = tmp_path / "foreign.pt"
    torch.save(state, path)
    for read in readers():
        with pytest.raises(ValueError, match=rf"^{path}: {NO_CHECKPOINT} {problem}\. Use another"):
            read(path)


@pytest.mark.parametrize("unsafe", ["0", "1"])
def test_only_pytorchs_own_values_switch_the_safe_loader_off(
    trained, edited, tmp_path, monkeypatch, unsafe
):
    path = edited(trained[0] / "checkpoint_last.pt", lambda state: state.update(note=tmp_path))
    torch_before_2_6(monkeypatch)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", unsafe)
    if unsafe == "1":
        assert checkpoint_utils.load_checkpoint_to_cpu(str(path))["note"] == tmp_path
    else:
        with pytest.raises(ValueError, match=WRITTEN):
            checkpoint_utils.load_checkpoint_to_cpu(str(path))


def test_a_missing_file_stays_fairseqs_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "no.pt"))


def test_fairseqs_own_loader_is_used_for_the_twins_checkpoints(trained):
    state = checkpoint_utils.load_checkpoint_to_cpu(str(trained[0] / "checkpoint_last.pt"))
    assert state["cfg"]["model"].arch == TWIN[1]
