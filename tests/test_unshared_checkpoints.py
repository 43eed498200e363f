"""Checkpoints of unshared layers where layers are shared, and the other way round."""

import logging

import pytest
import torch
from commands import (
    FRESH,
    NO_DROPOUT,
    STOCK,
    TEAFORN,
    TRANSLATION,
    TWIN,
    Training,
    log_records,
    train,
)

ONCE = [*NO_DROPOUT, "--max-update", "1", "--disable-validation"]


@pytest.fixture(scope="module")
def kinds(data, last, made_once):
    """Checkpoints of shared and of unshared layers; the latter starts as the former's copy."""
    options = [*TEAFORN, *ONCE, "--teaforn-unshared", "--finetune-from-model", last]
    folder, _ = made_once("unshared", lambda folder: train(data, folder, *options))
    return {"shared": last, "unshared": folder / "checkpoint_last.pt"}


def finish(data, tmp_path, *options, task=(*TWIN, *TRANSLATION), fails=False):
    log = tmp_path / "log"
    run = Training(data, tmp_path / "run", *options, *ONCE, "--no-save", log=log, task=task)
    return run.finish(fails=fails), log.read_text()


@pytest.mark.parametrize("load", ["--finetune-from-model", "--restore-file"])
def test_a_shared_twin_leaves_them_out_and_says_so(data, kinds, edited, tmp_path, load):
    def drop(state):
        further = [name for name in state["model"] if name.startswith("unshared_decoder.")]
        assert len(further) == 52
        for name in further:
            del state["model"][name]

    fresh = FRESH if load == "--restore-file" else []
    losses = []
    for path, told in ((kinds["unshared"], True), (edited(kinds["unshared"], drop), False)):
        records, printed = finish(data, tmp_path, *TEAFORN, load, path, *fresh)
        losses.append(records["train_inner"][0]["loss"])
        line = "left out 52 parameters of the checkpoint's unshared layers (unshared_decoder.*)"
        assert (line in printed) == told
        (tmp_path / "log").unlink()
    assert losses[0] == losses[1]


@pytest.mark.parametrize("load", ["--finetune-from-model", "--restore-file"])
def test_a_stock_architecture_asks_for_an_export(data, kinds, tmp_path, load):
    path = kinds["unshared"]
    task = (*STOCK, *TRANSLATION)
    printed, _ = finish(data, tmp_path, load, path, task=task, fails=True)
    assert printed.splitlines()[-1] == (
        f"ValueError: {path}: must be a checkpoint that this architecture can load; received one"
        " of --teaforn-unshared, whose further decoders only teaforn_* architectures have. Write"
        " the stock model with teaforn-export, and start from that file."
    )
    assert not log_records(printed)


@pytest.mark.parametrize(
    ("kind", "options"), [("unshared", []), ("shared", ["--teaforn-unshared"])]
)
def test_an_optimizers_state_of_the_other_kind_is_refused(data, kinds, tmp_path, kind, options):
    path = kinds[kind]
    words = [*TEAFORN, *options, "--restore-file", path, "--max-update", "20"]
    printed, _ = finish(data, tmp_path, *words, fails=True)
    last = printed.splitlines()[-1]
    assert last.startswith(f"ValueError: {path}: must be a checkpoint whose layers are shared or")
    assert last.endswith("Add --reset-optimizer, or start from it by --finetune-from-model.")
    assert not log_records(printed)


def test_the_layers_are_not_blamed_for_what_else_is_missing(data, kinds, tmp_path):
    """fairseq's own error for --store-ema from a checkpoint without a moving average."""
    words = [*TEAFORN, "--teaforn-unshared", "--store-ema", "--finetune-from-model"]
    printed, _ = finish(data, tmp_path, *words, kinds["shared"], fails=True)
    assert printed.splitlines()[-1] == "KeyError: 'model'"


def test_models_of_every_kind_start_from_one_another(build, caplog):
    caplog.set_level(logging.INFO)
    states = {
        "unshared": build(teaforn_unshared=True).state_dict(),
        "shared": build().state_dict(),
        "stock": build("transformer").state_dict(),
    }
    for kind, state in states.items():
        for unshared in (False, True):
            model = build(teaforn_unshared=unshared)
            model.load_state_dict(dict(state), strict=True)
            loaded = model.state_dict()
            for name in states["stock"]:
                assert torch.equal(loaded[name], state[name]), (kind, unshared, name)
    assert sum("left out" in record.message for record in caplog.records) == 1
    with pytest.raises(ValueError, match="with teaforn-export, and start from that file"):
        build("transformer").load_state_dict(dict(states["unshared"]), strict=True)
