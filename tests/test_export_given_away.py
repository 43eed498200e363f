"""An exported model on another machine, and what is exported where an average was kept."""

import re
import shutil

import pytest
import torch
from commands import TEAFORN, TRANSLATION, generate, train
from fairseq.models.transformer import TransformerModel

from teaforn_fairseq.export.command import main
from teaforn_fairseq.export.stock_checkpoint import PATHS


def export(*words):
    main([str(word) for word in words])


def load(path):
    return torch.load(path, weights_only=True)


def strings(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return [found for item in value for found in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def moved(data, preprocessed, trained, tmp_path_factory):
    """Exported of a training that was given every file there is an option for, all gone now."""
    folder, here = tmp_path_factory.mktemp("training"), tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(data, folder / "bin")
    words = [line.split()[0] for line in (data / "dict.en.txt").read_text().splitlines()]
    vectors = [f"{word} {' '.join(['0.01'] * 64)}" for word in words]
    (folder / "vectors").write_text("\n".join([f"{len(words)} 64", *vectors]) + "\n")
    shutil.copy(trained[0] / "checkpoint_last.pt", folder / "first.pt")
    shutil.copy(preprocessed / "spm.model", folder / "spm.model")
    train(
        folder / "bin",
        folder / "run",
        *(*TEAFORN, "--max-update", "1", "--disable-validation"),
        *("--encoder-embed-path", folder / "vectors", "--decoder-embed-path", folder / "vectors"),
        *("--finetune-from-model", folder / "first.pt", "--log-file", folder / "log-file"),
        *("--bpe", "sentencepiece", "--sentencepiece-model", folder / "spm.model"),
        *("--tensorboard-logdir", folder / "board"),
    )
    export(folder / "run/checkpoint_last.pt", here / "model.pt")
    for name in ("dict.en.txt", "dict.de.txt"):
        shutil.copy(data / name, here)
    shutil.copy(preprocessed / "spm.model", here / "sentencepiece.bpe.model")
    shutil.rmtree(folder)
    return here, folder


def test_it_names_no_file_of_the_machine_that_trained(moved):
    here, folder = moved
    cfg = load(here / "model.pt")["cfg"]
    assert not [found for found in strings(cfg) if str(folder) in found]
    assert not [found for found in strings(cfg) if re.match("/(?!tmp/plasma)", found)]
    assert cfg["model"]["encoder_embed_path"] is cfg["model"]["decoder_embed_path"] is None
    assert cfg["checkpoint"]["restore_file"] == "checkpoint_last.pt"
    assert cfg["bpe"]["_name"] == "sentencepiece"
    assert cfg["common"].keys() & PATHS.keys()  # they are there, and empty


def test_stock_fairseq_generates_with_it(data, moved):
    lines = generate(data, moved[0] / "model.pt", "--beam", "1")  # no plugin here
    assert len([line for line in lines if line.startswith("H-")]) == 13


def test_a_folder_with_dictionaries_and_subwords_is_all_that_from_pretrained_needs(moved):
    languages = {"source_lang": "en", "target_lang": "de"}
    hub = TransformerModel.from_pretrained(str(moved[0]), "model.pt", **languages)
    translated = hub.translate("two days after the third of May", beam=1)
    assert isinstance(translated, str) and "\u2581" not in translated


@pytest.fixture(scope="module")
def averaged(data, made_once):
    """Trainings that kept a moving average, in the model's precision and beside it in fp32."""
    options = [*TEAFORN, "--max-update", "3", "--store-ema", "--ema-decay", "0.5"]
    options += ["--disable-validation", "--teaforn-unshared"]
    kinds = {"plain": [], "fp32": ["--ema-fp32"]}

    def make(folder):
        for name, fp32 in kinds.items():
            train(data, folder / name, *options, *fp32)

    folder, _ = made_once("averaged", make)
    return {name: folder / name / "checkpoint_last.pt" for name in kinds}


def test_the_moving_average_is_taken_when_asked_for(data, averaged, tmp_path, capsys):
    path, out = averaged["plain"], tmp_path / "ema.pt"
    export(path, out, "--ema")
    assert capsys.readouterr().out == (
        f"{out}: transformer_tiny, 1 checkpoint, moving average of the parameters\n"
    )
    state, exported = load(path), load(out)["model"]
    average = state["extra_state"]["ema"]
    assert list(exported) == [name for name in average if not name.startswith("unshared_decoder.")]
    for name, tensor in exported.items():
        assert torch.equal(tensor, average[name]), name
    fc1 = "decoder.layers.1.fc1.weight"
    assert not torch.equal(exported[fc1], state["model"][fc1])
    assert len([line for line in generate(data, out) if line.startswith("H-")]) == 13


def test_the_fp32_copy_of_the_average_comes_first(averaged, edited, tmp_path):
    def half(state):
        average = state["extra_state"]["ema"]
        state["extra_state"]["ema"] = {name: tensor.half() for name, tensor in average.items()}

    export(edited(averaged["fp32"], half), tmp_path / "ema.pt", "--ema")
    fp32 = load(averaged["fp32"])["extra_state"]["ema_fp32_params"]
    for name, tensor in load(tmp_path / "ema.pt")["model"].items():
        assert tensor.dtype is torch.float32 and torch.equal(tensor, fp32[name]), name


def test_an_average_that_is_left_is_told(averaged, tmp_path, capsys):
    path, out = averaged["plain"], tmp_path / "plain.pt"
    export(path, out)
    assert capsys.readouterr().out == (
        f"{out}: transformer_tiny, 1 checkpoint, parameters as trained; --ema takes their moving"
        " average\n"
    )
    for name, tensor in load(out)["model"].items():
        assert torch.equal(tensor, load(path)["model"][name]), name


def test_asking_for_an_average_that_is_not_there_is_refused(trained, averaged, tmp_path):
    without = trained[0] / "checkpoint_last.pt"
    for checkpoints in ([without], [averaged["plain"], without]):
        with pytest.raises(SystemExit) as refusal:
            export(*checkpoints, tmp_path / "out.pt", "--ema")
        assert str(refusal.value) == (
            f"error: --ema: needs checkpoints of a training with --store-ema; received {without},"
            " which has no moving average. Leave --ema out."
        )
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("kernel", ["dynamic", "lightweight"])
def test_what_the_memory_held_is_neither_judged_nor_given_away(data, edited, tmp_path, kernel):
    """fairseq's DynamicConv makes a bias of uninitialised memory, which LightConv never reads."""
    arch = ["--arch", "teaforn_lightconv", "--encoder-layers", "2", "--decoder-layers", "2"]
    arch += ["--encoder-kernel-size-list", "[3]", "--decoder-kernel-size-list", "[3]"]
    arch += ["--encoder-embed-dim", "16", "--decoder-embed-dim", "16"]
    arch += ["--encoder-conv-type", kernel, "--decoder-conv-type", kernel]
    options = [*TEAFORN, "--max-update", "1", "--disable-validation"]
    train(data, tmp_path / "run", *options, task=[*arch, *TRANSLATION])
    bias = [f"{side}.layers.0.conv.conv_bias" for side in ("encoder", "decoder")]

    def worst(state):
        assert (bias[0] in state["model"]) == (kernel == "dynamic")
        for name in {*bias} & state["model"].keys():
            state["model"][name].fill_(float("nan"))

    export(edited(tmp_path / "run/checkpoint_last.pt", worst), tmp_path / "stock.pt")
    given_away = load(tmp_path / "stock.pt")["model"]
    assert not any(given_away[name].any() for name in {*bias} & given_away.keys())
    assert generate(data, tmp_path / "stock.pt", "--beam", "1")
