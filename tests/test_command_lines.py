"""fairseq's own command lines on real text: train, stop, resume, generate, interactive."""

import os
from argparse import Namespace
from pathlib import Path

import fairseq
import pytest
import torch
from commands import (
    FRESH,
    ONCE,
    PLUGIN,
    ROOT,
    STOCK,
    TEAFORN,
    first_loss,
    generate,
    run,
    train,
    values,
)
from fairseq.models import ARCH_MODEL_REGISTRY


@pytest.fixture(scope="session")
def stock_checkpoint(data, made_once):
    options = [*STOCK, "--max-update", "6"]
    folder, _ = made_once("stock", lambda folder: train(data, folder, *options))
    return folder / "checkpoint_last.pt"


def test_log_has_every_step_in_training_and_validation(trained):
    _, log = trained
    assert len(log["train_inner"]) == 12
    for kind, prefix in (("train_inner", ""), ("train", "train_"), ("valid", "valid_")):
        for record in log[kind]:
            assert float(record[f"{prefix}nll_loss"]) == float(record[f"{prefix}nll_loss_1"])
            assert {f"{prefix}nll_loss_2", f"{prefix}nll_loss_3", f"{prefix}ppl"} <= set(record)


def test_resumed_training_logs_what_uninterrupted_training_logs(data, trained, tmp_path):
    _, whole = trained
    options = [*TEAFORN, "--teaforn-n", "3"]
    first = train(data, tmp_path, *options, "--max-update", "5")
    rest = train(data, tmp_path, *options, "--max-update", "12")
    assert values(first["train_inner"] + rest["train_inner"]) == values(whole["train_inner"])
    assert rest["valid"][-1]["valid_loss"] == whole["valid"][-1]["valid_loss"]


SCHEDULED = [
    *(*TEAFORN, "--teaforn-n", "1@0,2@3,3@7", "--teaforn-discount", "1@0,0.5@6"),
    *("--teaforn-feedback", "sample", "--teaforn-mix", "0.2@0,linear:6@4", "--disable-validation"),
]
# Update u is made when u - 1 updates are done.
SCHEDULED_STEPS = [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]


def num_steps(records):
    return [sum(key.startswith("nll_loss_") for key in record) for record in records]


def test_schedules_and_random_feedback_go_on_through_resume(data, tmp_path):
    whole = train(data, tmp_path / "whole", *SCHEDULED, "--max-update", "12")["train_inner"]
    first = train(data, tmp_path / "cut", *SCHEDULED, "--max-update", "5")
    rest = train(data, tmp_path / "cut", *SCHEDULED, "--max-update", "12")
    assert values(first["train_inner"] + rest["train_inner"]) == values(whole)
    assert num_steps(whole) == SCHEDULED_STEPS


def test_schedules_count_updates_not_batches(data, tmp_path):
    once = ["--max-update", "8", "--update-freq", "2", "--no-save"]
    log = train(data, tmp_path, *SCHEDULED, *once)
    assert num_steps(log["train_inner"]) == SCHEDULED_STEPS[:8]


def test_validate_repeats_the_values_of_the_last_validation(data, trained):
    folder, log = trained
    out = run(
        *("fairseq-validate", data, "--user-dir", PLUGIN, "--task", "translation", "--cpu"),
        *("--max-tokens", "800"),
        *("--path", folder / "checkpoint_last.pt", "--required-batch-size-multiple", "1"),
    )
    for key in ("loss", "nll_loss_1", "nll_loss_2", "nll_loss_3"):
        assert f" | {key} {log['valid'][-1][f'valid_{key}']} |" in out


@pytest.mark.parametrize("place", ["relative", "from another folder", "absolute", "installed"])
def test_user_dir_is_found(data, tmp_path, place):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    cwd, user_dir = {
        "relative": (ROOT, "teaforn_fairseq"),
        "from another folder": (folder, os.path.relpath(PLUGIN, folder)),
        "absolute": (folder, PLUGIN),
        "installed": (folder, "teaforn_fairseq"),
    }[place]
    if place == "installed" and not installed_beside_fairseq():
        pytest.skip("teaforn_fairseq is not installed beside fairseq (pip install .)")
    options = [*TEAFORN, "--max-update", "1", "--no-save", "--disable-validation"]
    log = train(data, tmp_path / "run", *options, user_dir=user_dir, cwd=cwd)
    assert "nll_loss_2" in log["train_inner"][0]


def installed_beside_fairseq():
    return (Path(fairseq.__file__).parents[1] / "teaforn_fairseq").is_dir()


def test_interactive_translates_standard_input(data, trained):
    folder, _ = trained
    out = run(
        *("fairseq-interactive", data, "--user-dir", PLUGIN, "--cpu", "--beam", "2"),
        *("--path", folder / "checkpoint_last.pt", "--source-lang", "en", "--target-lang", "de"),
        stdin="\u2581 t w o\n\u2581 s i x\n",
    )
    assert [line[:3] for line in out.splitlines() if line.startswith("H-")] == ["H-0", "H-1"]


def test_twin_generates_what_stock_fairseq_generates(data, trained, tmp_path):
    folder, _ = trained
    twin = folder / "checkpoint_last.pt"
    stock = as_stock_checkpoint(twin, tmp_path / "stock.pt")
    own_lines = generate(data, twin, "--user-dir", PLUGIN, "--beam", "4")
    stock_lines = generate(data, stock, "--beam", "4")  # no plugin here
    assert own_lines == stock_lines
    assert len([line for line in own_lines if line.startswith("H-")]) == 13  # none left out


def as_stock_checkpoint(path, out):
    """The same weights under the stock architecture, in plain containers alone."""
    state = torch.load(path, weights_only=True)
    model = vars(state["cfg"]["model"])
    state["cfg"]["model"] = {**model, "arch": "transformer_tiny", "_name": "transformer_tiny"}
    state["cfg"]["criterion"] = None
    state["args"] = None
    torch.save(state, out)
    return out


@pytest.fixture(scope="module")
def untrained(data, made_once):
    """The first loss of a model that loaded nothing."""
    return first_loss(made_once("untrained", lambda x: train(data, x, *STOCK, *ONCE))[1])


@pytest.mark.parametrize("option", ["--finetune-from-model", "--restore-file"])
def test_stock_checkpoint_loads_into_the_twin(data, stock_checkpoint, untrained, tmp_path, option):
    once = [*ONCE, option, stock_checkpoint, *(FRESH if option == "--restore-file" else [])]
    stock = train(data, tmp_path / "a", *STOCK, *once)
    twin = train(data, tmp_path / "b", "--criterion", "teaforn_cross_entropy", *once)
    assert first_loss(twin) == first_loss(stock) != untrained


def test_twin_checkpoint_loads_into_the_stock_architecture(data, trained, tmp_path):
    folder, log = trained
    load = ["--finetune-from-model", folder / "checkpoint_last.pt"]
    stock = train(data, tmp_path / "a", *STOCK, *ONCE, *load)
    twin = train(data, tmp_path / "b", *TEAFORN, *ONCE, *load)
    assert first_loss(stock) == first_loss(twin) != first_loss(log)


def test_a_twin_trains_with_the_stock_criterion(data, tmp_path):
    once = ["--max-update", "3", "--no-save", "--disable-validation"]
    stock, twin = (
        train(data, tmp_path / arch, *STOCK, *once, "--arch", arch)
        for arch in ("transformer_tiny", "teaforn_transformer_tiny")
    )
    assert [r["loss"] for r in twin["train_inner"]] == [r["loss"] for r in stock["train_inner"]]


def test_buckets_change_no_loss(data, tmp_path):
    options = [*ONCE, "--num-batch-buckets", "3"]  # which pads every batch further
    stock = train(data, tmp_path / "a", *STOCK, *options)
    twin = train(data, tmp_path / "b", *TEAFORN, *options)
    assert first_loss(twin) == twin["train_inner"][0]["nll_loss_1"] == first_loss(stock)


def test_safe_loader_takes_fairseqs_options_and_nothing_more(tmp_path):
    allowed = torch.serialization.get_safe_globals()  # torch.distributed adds some of torch's own
    assert [c for c in allowed if not c.__module__.startswith("torch.")] == [Namespace]
    torch.save({"args": Namespace(arch="transformer")}, tmp_path / "own.pt")
    assert torch.load(tmp_path / "own.pt", weights_only=True)["args"].arch == "transformer"
    torch.save({"path": tmp_path}, tmp_path / "foreign.pt")
    with pytest.raises(Exception, match="Unsupported global"):
        torch.load(tmp_path / "foreign.pt", weights_only=True)


def test_package_import_registers_twins_for_python_users():
    assert "teaforn_transformer_wmt_en_de" in ARCH_MODEL_REGISTRY
