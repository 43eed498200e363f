"""teaforn-export: what stock fairseq, without the plugin, makes of the files it writes."""

import os
import tomllib
from pathlib import Path

import pytest
import torch
from commands import (
    BIN,
    CHECKOUT,
    ONCE,
    PLUGIN,
    ROOT,
    STOCK,
    TEAFORN,
    export,
    first_loss,
    generate,
    run,
    train,
)

EMBEDDINGS = [
    *("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    "decoder.output_projection.weight",
]
FC1 = "decoder.layers.1.fc1.weight"


@pytest.fixture(scope="session")
def exported(last, made_once):
    def make(folder):
        out = folder / "stock.pt"
        assert export(last, out).endswith(f"{out}: transformer_tiny, 1 checkpoint\n")

    return made_once("exported", make)[0] / "stock.pt"


def load(path):
    return torch.load(path, weights_only=True)


def export_and_load(*checkpoints, out):
    export(*checkpoints, out)
    return load(out)


def assert_refused(message, *words):
    """One message, on one line, and no traceback."""
    out = export(*words, fails=True)
    assert out.endswith(f"\nerror: {message}\n") or out == f"error: {message}\n", out
    assert (out.count("error: "), out.count("Traceback")) == (1, 0)


def leaves(value, path=()):
    """Every value in nested containers, with the keys that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


@pytest.mark.parametrize("beam", [1, 4])
def test_stock_fairseq_generates_what_the_twin_generates(data, last, exported, beam):
    twin = generate(data, last, "--user-dir", PLUGIN, "--beam", beam)
    stock = generate(data, exported, "--beam", beam)  # no plugin here
    assert stock == twin
    assert len([line for line in stock if line.startswith("H-")]) == 13


def test_stock_fairseq_validates_with_the_stock_criterion(data, trained, exported):
    out = run(
        *("fairseq-validate", data, "--task", "translation", "--cpu", "--max-tokens", "800"),
        *("--path", exported, "--required-batch-size-multiple", "1"),
    )
    assert f" | nll_loss {trained[1]['valid'][-1]['valid_nll_loss_1']} |" in out


def test_stock_fairseq_interactive_translates(data, exported):
    languages = ("--source-lang", "en", "--target-lang", "de")
    command = ("fairseq-interactive", data, "--cpu", "--path", exported, *languages)
    out = run(*command, stdin="\u2581 t w o\n\u2581 s i x\n")
    assert [line[:3] for line in out.splitlines() if line.startswith("H-")] == ["H-0", "H-1"]


@pytest.mark.parametrize("option", ["--finetune-from-model", "--restore-file"])
def test_stock_training_goes_on_from_it(data, last, exported, tmp_path, option):
    stock = train(data, tmp_path / "a", *STOCK, *ONCE, option, exported, user_dir=None)
    from_twin = ["--finetune-from-model", last]
    twin = train(data, tmp_path / "b", *TEAFORN, *ONCE, *from_twin)
    assert first_loss(stock) == first_loss(twin)
    assert stock["train_inner"][0]["num_updates"] == "1"


def test_default_loader_of_pytorch_takes_it_and_finds_plain_containers(exported):
    run("python", "-c", "import sys, torch; torch.load(sys.argv[1])", exported)
    plain = (str, int, float, bool, type(None), torch.Tensor)
    assert {type(value) for _, value in leaves(load(exported))} <= set(plain)


def test_it_holds_the_stock_names_and_nothing_of_the_plugin(exported, last):
    state = load(exported)
    assert state.keys() == load(last).keys() - {"last_optimizer_state"}
    cfg = state["cfg"]
    assert (cfg["model"]["_name"], cfg["model"]["arch"]) == ("transformer_tiny",) * 2
    assert cfg["model"]["criterion"] == cfg["criterion"]["_name"] == "label_smoothed_cross_entropy"
    assert cfg["criterion"].keys() == {
        *("_name", "label_smoothing", "ignore_prefix_size", "report_accuracy", "sentence_avg")
    }
    assert state["optimizer_history"][0]["criterion_name"] == "LabelSmoothedCrossEntropyCriterion"
    assert state["optimizer_history"][0]["num_updates"] == 12
    assert cfg["common"]["user_dir"] is None and "user_dir" not in cfg["model"]
    assert not [path for path, _ in leaves(state) if any("teaforn" in str(key) for key in path)]
    assert not [value for _, value in leaves(cfg) if "teaforn" in str(value)]


def test_extra_decoders_and_later_options_are_left_out(last, exported, edited, tmp_path):
    def change(state):
        weight = state["model"][FC1].clone()
        state["model"] |= {"unshared_decoder.0.fc1.weight": weight}
        state["cfg"]["model"].task = state["cfg"]["task"]["_name"] = "teaforn_translation"
        for section in (vars(state["cfg"]["model"]), state["cfg"]["task"]):
            section.update(eval_bleu_beams="1,4", teaforn_later=True)
        state["cfg"]["criterion"]["teaforn_later"] = True

    later = export_and_load(edited(last, change), out=tmp_path / "out.pt")
    before = load(exported)
    for name, tensor in before["model"].items():
        assert torch.equal(later["model"].pop(name), tensor), name
    assert later == {**before, "model": {}}


def test_shared_embeddings_stay_one_tensor(exported, learned, tmp_path):
    mean = export_and_load(*learned, out=tmp_path / "mean.pt")
    for state in (load(exported), mean):
        assert len({state["model"][name].data_ptr() for name in EMBEDDINGS}) == 1
    stored = {t.data_ptr(): t.numel() * t.element_size() for t in mean["model"].values()}
    size = os.path.getsize(tmp_path / "mean.pt")
    assert sum(stored.values()) < size < 1.5 * sum(stored.values())
    assert size == pytest.approx(os.path.getsize(exported), rel=0.01)


def test_tables_that_a_gpu_shared_are_one_tensor_again(learned, edited, tmp_path):
    def copied(state):  # as fairseq does it on a GPU's way to the file
        state["model"] = {name: x.clone() for name, x in state["model"].items()}

    first = load(learned[0])["model"]
    copies = [edited(path, copied) for path in learned]
    assert len({x.data_ptr() for x in load(copies[0])["model"].values()}) == len(first)
    mean = export_and_load(*learned, out=tmp_path / "shared.pt")["model"]
    again = export_and_load(*copies, out=tmp_path / "copied.pt")["model"]
    for model in (mean, again):
        assert len({x.data_ptr() for x in model.values()}) == len(first) - len(EMBEDDINGS) + 1
    torch.testing.assert_close(again, mean)


def test_several_checkpoints_are_averaged(data, learned, tmp_path):
    mean = export_and_load(*learned, out=tmp_path / "mean.pt")["model"]
    models = [load(path)["model"] for path in learned]
    assert list(mean) == list(models[0])
    for name, tensor in mean.items():
        expected = sum(model[name].double() for model in models) / 3
        torch.testing.assert_close(tensor.double(), expected, rtol=0, atol=1e-6)
    assert not torch.equal(mean[FC1], models[0][FC1])
    lines = generate(data, tmp_path / "mean.pt", "--beam", "1")
    assert len([line for line in lines if line.startswith("H-")]) == 13


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_is_averaged_in_single_precision(learned, edited, tmp_path, dtype):
    def change(state):
        state["model"] = {name: tensor.to(dtype) for name, tensor in state["model"].items()}

    paths = [edited(path, change) for path in learned[:2]]
    alone = export_and_load(paths[0], out=tmp_path / "alone.pt")["model"]
    assert torch.equal(alone[FC1], load(paths[0])["model"][FC1])
    assert alone[FC1].dtype is dtype
    mean = export_and_load(*paths, out=tmp_path / "mean.pt")["model"]
    wide = torch.promote_types(dtype, torch.float32)
    a, b = (load(path)["model"][FC1].to(wide) for path in paths)
    assert mean[FC1].dtype is wide
    assert torch.equal(mean[FC1], (a + b) / 2)


def other_arch(state):
    state["cfg"]["model"]._name = "teaforn_transformer"


def other_heads(state):
    state["cfg"]["model"].decoder_attention_heads = 4


UNFIT = {
    other_arch: "architecture transformer instead of transformer_tiny",
    other_heads: "option decoder_attention_heads 4 instead of 2",
    lambda state: state["model"].pop(FC1): f"no parameter {FC1}",
    lambda state: state["model"].update({FC1: torch.zeros(3, 2)}): (
        f"parameter {FC1} of shape (3, 2) instead of shape (64, 64)"
    ),
    lambda state: state["model"].update(more=torch.zeros(1)): "a further parameter more",
}


@pytest.mark.parametrize(("change", "difference"), UNFIT.items(), ids=UNFIT.values())
def test_checkpoints_that_do_not_fit_are_refused(last, edited, tmp_path, change, difference):
    other = edited(last, change)
    assert_refused(
        f"{other}: must be a checkpoint of the same model as {last}; received {difference}.",
        *(last, other, tmp_path / "out.pt"),
    )
    assert os.listdir(tmp_path) == [other.name]


def test_what_is_no_checkpoint_of_a_twin_is_refused(last, exported, edited, tmp_path):
    out, written = tmp_path / "out.pt", "must be a checkpoint written by fairseq-train; received"
    text, empty = tmp_path / "text", tmp_path / "empty.pt"
    text.write_text("not a checkpoint\n")
    torch.save({"model": {}}, empty)
    unknown = edited(last, lambda state: setattr(state["cfg"]["model"], "_name", "teaforn_lstm"))
    twin = "must be a checkpoint of a teaforn_* architecture; received architecture"
    assert_refused(f"{exported}: {twin} transformer_tiny.", exported, out)
    assert_refused(f"{tmp_path}: {written} a folder.", tmp_path, out)
    assert_refused(f"{tmp_path / 'no.pt'}: {written} nothing there.", tmp_path / "no.pt", out)
    entries = "optimizer_history, extra_state"
    without = f"a file without the entries {entries}. Use another file."
    assert_refused(f"{empty}: {written} {without}", empty, out)
    assert_refused(
        f"{unknown}: must be a checkpoint of an architecture that this version of teaforn_fairseq"
        " has; received architecture teaforn_lstm. Export it with the version that trained it.",
        *(unknown, out),
    )
    assert f"error: {text}: {written} a file that" in export(text, out, fails=True)
    assert not out.exists()


def test_a_checkpoint_with_foreign_objects_is_refused(last, edited, tmp_path):
    foreign = edited(last, lambda state: state.update(extra_state=Path("x")))
    printed = export(foreign, tmp_path / "out.pt", fails=True)
    assert "received a file that PyTorch's safe loader refuses: " in printed
    assert "Traceback" not in printed
    assert os.listdir(tmp_path) == [foreign.name]


def test_nothing_is_overwritten_without_force(last, exported, tmp_path):
    out = tmp_path / "out.pt"
    out.write_text("mine")
    advice = "Choose another name, or replace it with --force."
    assert_refused(f"OUT: must not be there yet; received {out}. {advice}", last, out)
    assert out.read_text() == "mine"
    export(last, "--force", out)
    assert out.read_bytes() == exported.read_bytes()
    assert os.listdir(tmp_path) == ["out.pt"]


def test_a_bad_place_for_the_result_is_refused(last, tmp_path):
    assert_refused(
        f"OUT: must not be one of the checkpoints; received {last}.", "--force", last, last
    )
    assert_refused(
        f"OUT: must be a file; received the folder {tmp_path}.", "--force", last, tmp_path
    )
    nowhere = tmp_path / "no" / "out.pt"
    assert_refused(f"OUT: must lie in a folder that is there; received {nowhere}.", last, nowhere)
    assert_refused(
        "--data-dir: is for --format ctranslate2, and for --format huggingface with"
        " --sentencepiece-model; received data with --format fairseq."
        " Leave it out.",
        *(last, tmp_path / "out.pt", "--data-dir", "data"),
    )


def test_a_failed_write_leaves_everything_as_it_was(last, tmp_path):
    out = tmp_path / "out.pt"
    out.write_text("mine")
    script = 'ulimit -f 100; exec python -m teaforn_fairseq.export --force "$@"'  # 100 KiB a file
    printed = run("bash", "-c", script, "bash", last, out, env=CHECKOUT, fails=True)
    assert "error: OUT: could not be written: is the disk full?" in printed
    assert "Traceback" not in printed
    assert out.read_text() == "mine"
    assert os.listdir(tmp_path) == ["out.pt"]


def test_the_console_script_is_installed_with_the_package():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["teaforn-export"] == "teaforn_fairseq.export.command:main"
    if not (BIN / "teaforn-export").exists():
        pytest.skip("teaforn_fairseq is not installed (pip install .)")
    assert "usage: teaforn-export " in run("teaforn-export", "--help")
