"""fairseq-hydra-train with the YAML file of the package."""

import json

import pytest
from commands import PLUGIN, TEAFORN, generate, run, train

CONFIG = ["--config-dir", PLUGIN / "config", "--config-name", "teaforn_wmt_en_de"]
# commands.TINY and TEAFORN, section by section.
SMALL = [
    *(f"common.user_dir={PLUGIN}", "common.cpu=true", "common.log_format=json"),
    *("common.log_interval=1", "model._name=teaforn_transformer_tiny", "dataset.max_tokens=800"),
    *("dataset.required_batch_size_multiple=1", "optimizer.adam_betas='(0.9, 0.999)'"),
    *("optimization.lr=[0.005]", "lr_scheduler.warmup_updates=10"),
    *("checkpoint.no_epoch_checkpoints=true", "optimization.max_update=5"),
]


def hydra_train(data, folder, *options, **kwargs):
    """Run it in the folder; return what it printed."""
    command = ("fairseq-hydra-train", *CONFIG, *SMALL, f"task.data={data}", *options)
    return run(*command, cwd=folder, **kwargs)


def losses(out):
    lines = [line for line in out.splitlines() if "[train_inner]" in line]
    return [json.loads(line[line.index("{") :])["loss"] for line in lines]


@pytest.mark.parametrize("n", [1, 2])
def test_yaml_trains_what_the_flags_train_and_its_checkpoint_generates(data, tmp_path, n):
    out = hydra_train(data, tmp_path, f"criterion.teaforn_n={n}", "+model.dropout=0.2")
    flags = [*TEAFORN, "--teaforn-n", n, "--dropout", "0.2", "--max-update", "5"]
    log = train(data, tmp_path / "flags", *flags)
    assert losses(out) == [record["loss"] for record in log["train_inner"]]
    assert "valid_bleu_beam1" in out and "valid_bleu_beam4" in out
    lines = [
        generate(data, folder / "checkpoint_last.pt", "--user-dir", PLUGIN, "--beam", "4")
        for folder in (tmp_path / "checkpoints", tmp_path / "flags")
    ]
    assert lines[0] == lines[1]
    assert len([line for line in lines[0] if line.startswith("H-")]) == 13


def test_model_options_reach_the_model(data, tmp_path):
    sizes = ["+model.encoder_layers=1", "+model.decoder_ffn_embed_dim=32"]
    # The task's limit is the model's too, as with fairseq-train: 77 positions after padding's two.
    sizes += ["+task.max_target_positions=77", "+model.decoder_learned_pos=true"]
    out = hydra_train(data, tmp_path, *sizes, "checkpoint.no_save=true")
    assert "LearnedPositionalEmbedding(79, 64, padding_idx=1)" in out
    assert "(fc1): Linear(in_features=64, out_features=32, bias=True)" in out
    assert out.count("TransformerEncoderLayerBase(") == 1 and "(0-1): 2 x" in out


def test_resumes_where_it_stopped(data, tmp_path):
    whole = losses(hydra_train(data, tmp_path, "checkpoint.save_dir=whole"))
    first = losses(hydra_train(data, tmp_path, "optimization.max_update=3"))
    rest = losses(hydra_train(data, tmp_path))
    assert first + rest == whole and len(whole) == 5


BAD = {
    "model option": (
        ["+model.encoder_layrs=3"],
        "ValueError: model: every option must be one of teaforn_transformer_tiny's, as"
        " fairseq-train --help lists them, with underscores; received encoder_layrs.",
    ),
    "stock model": (["model._name=transformer_tiny"], "Use --arch teaforn_transformer_tiny."),
    "steps": (["criterion.teaforn_n=0"], "ValueError: --teaforn-n: "),
    "beams": (["task.eval_bleu_beams=0"], "ValueError: --eval-bleu-beams: "),
    "no data": (["task.data=???"], "task.data"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_in_one_message_before_any_update(data, tmp_path, options, message):
    out = hydra_train(data, tmp_path, *options, fails=True)
    assert message in out
    assert not losses(out)
