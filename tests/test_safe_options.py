"""A text in a checkpoint's configuration is never run: not by any command, model or criterion."""

import re
from argparse import Namespace
from collections import OrderedDict

import pytest
from commands import PLUGIN, TEAFORN, TWIN, Training, run
from fairseq import checkpoint_utils
from versions import NEEDS_BYTES

from teaforn_fairseq.export.command import main as export

RULE = "must be a list, tuple, dict, number, string, True, False or None, written out, or a sum"
ADVICE = "It would be run as a program; nothing was. Use a checkpoint that you trust."


def program(mark):
    """An expression that writes a file."""
    return f"__import__('pathlib').Path({str(mark)!r}).touch()"


@pytest.fixture
def mark(tmp_path):
    """What the program would write."""
    path = tmp_path / "the_program_ran"
    yield path
    assert not path.exists()


def set_model(**options):
    return lambda state, text: vars(state["cfg"]["model"]).update(
        {name: text if value is None else value for name, value in options.items()}
    )


def replace(section, **options):
    def change(state, text):
        state["cfg"][section] = {key: value or text for key, value in options.items()}

    return change


def of_old_fairseq(state, text):
    """The options of all sections as one Namespace."""
    args = {**vars(state["cfg"]["model"]), "task": "translation", "adaptive_softmax_cutoff": text}
    state.update(args=Namespace(**args), cfg=None)


def attributes(**options):
    """What teaforn-export writes in place of a Namespace."""
    stand_in = OrderedDict()
    vars(stand_in).update(options)
    return stand_in


def of_an_export(state, text):
    state["args"] = attributes(**vars(state["cfg"]["model"]), wer_args=text)


def nested_in_an_export(state, text):
    inner = attributes(conv_feature_layers=text)
    state["args"] = attributes(**vars(state["cfg"]["model"]), w2v_args=inner)


def interpolated(state, text):
    state["cfg"]["common"]["wandb_project"] = text
    state["cfg"]["model"] = {"_name": "wav2vec2", "conv_feature_layers": "${common.wandb_project}"}


def nested(state, text):
    inner = Namespace(model=[{"conv_feature_layers": text}])
    state["cfg"]["model"].w2v_args = inner


def as_bytes(state, text):
    """eval takes bytes as well; in models that do not ask first whether it is text."""
    state["cfg"]["model"].character_filters = text.encode()


BYTES = "model.character_filters"
STOCK = {"arch": "transformer_tiny", "_name": "transformer_tiny"}
HOSTILE = {
    "model.encoder_xformers_att_config": set_model(encoder_xformers_att_config=None),
    "model.adaptive_softmax_cutoff": set_model(**STOCK, adaptive_softmax_cutoff=None),
    "model.encoder_layers": set_model(arch="fconv", _name="fconv", encoder_layers=None),
    BYTES: as_bytes,
    "criterion.wer_args": replace("criterion", _name="ctc", wer_args=None),
    "optimizer.adam_betas": replace("optimizer", _name="adam", adam_betas=None),
    "model.conv_feature_layers": interpolated,
    "model.w2v_args.model.conv_feature_layers": nested,
    "adaptive_softmax_cutoff": of_old_fairseq,
    "wer_args": of_an_export,
    "w2v_args.conv_feature_layers": nested_in_an_export,
}


@pytest.fixture
def hostile(trained, edited, mark):
    """hostile(option): a real checkpoint with a program in that option."""
    last = trained[0] / "checkpoint_last.pt"
    return lambda option="model.encoder_xformers_att_config": edited(
        last, lambda state: HOSTILE[option](state, program(mark))
    )


def refusal(path, option="model.encoder_xformers_att_config"):
    return f"{path}: {option}: {RULE}"


def test_the_program_of_this_test_runs_when_it_is_evaluated(tmp_path):
    eval(program(tmp_path / "mark"))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "option", [*(x for x in HOSTILE if x != BYTES), pytest.param(BYTES, marks=NEEDS_BYTES)]
)
def test_it_is_refused_by_name_before_a_model_is_built(hostile, option):
    path = hostile(option)
    with pytest.raises(ValueError, match=f"^{re.escape(refusal(path, option))}") as refused:
        checkpoint_utils.load_model_ensemble_and_task([str(path)])
    assert "; received " in str(refused.value)
    assert str(refused.value).endswith(ADVICE)


@pytest.mark.parametrize(
    "option", ["model.encoder_xformers_att_config", pytest.param(BYTES, marks=NEEDS_BYTES)]
)
@pytest.mark.parametrize("kind", ["single", "average", "ctranslate2"])
def test_export_refuses_it_and_writes_nothing(trained, hostile, tmp_path, kind, option):
    path = hostile(option)
    words = {
        "single": [path],
        "average": [trained[0] / "checkpoint_last.pt", path],
        "ctranslate2": ["--format", "ctranslate2", path],
    }[kind]
    with pytest.raises(SystemExit, match=f"^error: {re.escape(refusal(path, option))}"):
        export([str(word) for word in [*words, tmp_path / "out"]])
    assert not (tmp_path / "out").exists()


def test_fairseq_generate_refuses_it(data, hostile):
    path = hostile()
    printed = run(
        *("fairseq-generate", data, "--user-dir", PLUGIN, "--path", path, "--cpu"), fails=True
    )
    assert printed.splitlines()[-1].startswith(f"ValueError: {refusal(path)}")


@pytest.mark.parametrize("option", ["--restore-file", "--finetune-from-model"])
def test_training_refuses_it(data, hostile, tmp_path, option):
    path = hostile()
    words = [*TEAFORN, option, path]
    printed = Training(data, tmp_path / "run", *words, log=tmp_path / "log").finish(fails=True)
    assert f"ValueError: {refusal(path)}" in printed
    assert "num_updates" not in printed


@pytest.mark.parametrize("command", ["fairseq-eval-lm", "fairseq-validate", "fairseq-interactive"])
def test_other_commands_refuse_it(data, hostile, tmp_path, command):
    option = "model.adaptive_softmax_cutoff"
    path = hostile(option)
    (tmp_path / "dict.txt").write_text("a 1\n")
    folder = tmp_path if command == "fairseq-eval-lm" else data
    words = [folder, "--user-dir", PLUGIN, "--path", path, "--cpu", "--max-tokens", "800"]
    words += ["--task", "translation"] if command == "fairseq-validate" else []
    printed = run(command, *words, fails=True)
    assert printed.splitlines()[-1].startswith(f"ValueError: {refusal(path, option)}")


def test_what_is_typed_is_read_as_a_literal_before_a_model_is_built(data, tmp_path, mark):
    words = [*TEAFORN, "--adam-betas", program(mark)]
    printed = Training(data, tmp_path / "run", *words, log=tmp_path / "log").finish(fails=True)
    assert printed.splitlines()[-1].startswith(f"ValueError: adam_betas: {RULE}")
    assert "num. shared model params" not in printed


def test_what_argparse_reads_is_refused_beside_its_flag(data, mark):
    words = [data, "--user-dir", PLUGIN, "--arch", "teaforn_lightconv", "--encoder-glu"]
    printed = run("fairseq-train", *words, program(mark), fails=True)
    assert f"error: argument --encoder-glu: option: {RULE}" in printed


@pytest.mark.parametrize("overrides", [{}, {"adaptive_softmax_cutoff": "10000,50000"}])
def test_literals_in_a_checkpoint_load_as_ever(trained, edited, overrides):
    change = set_model(encoder_xformers_att_config="None", left_pad_source="True")
    path = edited(trained[0] / "checkpoint_last.pt", lambda state: change(state, None))
    (model,), cfg, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    assert cfg.model.encoder_xformers_att_config == "None"
    state = checkpoint_utils.load_checkpoint_to_cpu(str(path), overrides)
    assert state["model"].keys() == model.state_dict().keys()


def test_commands_with_the_checkpoints_own_options_still_work(data, trained, tmp_path):
    words = [*TWIN, *TEAFORN, "--adam-betas", "(0.9, 0.98)", "--max-update", "1"]
    finetune = ["--finetune-from-model", trained[0] / "checkpoint_last.pt"]
    training = Training(data, tmp_path / "run", *words, *finetune, log=tmp_path / "log")
    assert training.finish()["train"]
