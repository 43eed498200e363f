"""The flags as declared: on the command line, in old checkpoints, and what adding one takes."""

from argparse import Namespace
from dataclasses import fields

import fairseq
import pytest
import torch
from commands import CHECKOUT, PLUGIN, run
from fairseq.criterions import build_criterion
from omegaconf import OmegaConf

import teaforn_fairseq
from teaforn_fairseq.criterions.options import DEFAULTS, FLAGS, TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.feedbacks import FEEDBACKS

OURS = [field.name for field in fields(TeaForNCrossEntropyCriterionConfig) if field.name != "_name"]
OURS = [name for name in OURS if name != "sentence_avg"]  # a flag of fairseq's optimization
OTHERS = ["teaforn_unshared", "eval_bleu_beams", "eval_bleu_references"]


def entries(printed):
    """Help of each flag, its lines joined, by the flag's name with underscores."""
    parts = [" ".join(part.split()) for part in printed.split("\n  --")[1:]]
    return {part.split()[0].rstrip(",").replace("-", "_"): part for part in parts}  # --arch, -a


@pytest.mark.parametrize("option", ["--help", None])
def test_the_package_prints_every_flag_with_its_default(option, tmp_path):
    options = [option] if option else []
    out = run("python", "-m", "teaforn_fairseq", *options, cwd=tmp_path, env=CHECKOUT)
    listed = entries(out)
    for name in [*OURS, *OTHERS]:
        assert "default: " in listed[name], name
    for name, default in DEFAULTS.items():
        assert f"(default: {default})" in listed[f"teaforn_{name}"]
    assert (
        "(default: 4)" in listed["teaforn_topk"] and "(default: 1)" in listed["teaforn_temperature"]
    )
    versions = [f"{x.__name__} {x.__version__} " for x in (teaforn_fairseq, fairseq, torch)]
    assert all((version in out) == (option is None) for version in versions)
    assert (str(PLUGIN) in out) == (option is None)


def test_the_package_refuses_what_it_would_ignore(tmp_path):
    command = ("python", "-m", "teaforn_fairseq", "--teaforn-n", "3")
    out = run(*command, cwd=tmp_path, env=CHECKOUT, fails=True)
    assert "unrecognized arguments: --teaforn-n 3" in out


@pytest.mark.parametrize("options", [["--arch", "teaforn_transformer_lm", "--help"], ["-h"]])
def test_help_of_fairseq_train_lists_the_flags_of_what_was_chosen(options):
    chosen = ["--user-dir", PLUGIN, "--criterion", "teaforn_cross_entropy"]
    listed = entries(run("fairseq-train", *options, *chosen))
    assert {*OURS, "teaforn_unshared", "arch", "lr"} <= listed.keys()


def test_help_of_a_task_is_listed_by_generation_too():
    task = ["--user-dir", PLUGIN, "--task", "teaforn_translation"]
    assert "eval_bleu_beams" in entries(run("fairseq-generate", *task, "--help"))


def test_an_older_checkpoints_options_lack_the_newer_flags_and_load(task):
    kept = {"label_smoothing": 0.1, "teaforn_n": "3", "report_accuracy": True}
    section = OmegaConf.create({"_name": "teaforn_cross_entropy", "sentence_avg": False, **kept})
    flat = Namespace(criterion="teaforn_cross_entropy", sentence_avg=False, **kept)
    for cfg in (section, flat):
        criterion = build_criterion(cfg, task)
        assert (criterion.plan.max_steps, criterion.plan.every, criterion.eps) == (3, 1, 0.1)
        assert criterion.report_accuracy and not criterion.sentence_avg


def test_one_step_takes_a_decoder_whose_output_is_narrower_than_its_input(task):
    """Nothing is handed on, so the default feedback has nothing to refuse."""
    options = {"arch": "teaforn_transformer", "decoder_embed_dim": 8, "decoder_output_dim": 4}
    section = {"_name": "teaforn_cross_entropy", "sentence_avg": False}

    def built(n):
        model = {"_name": options["arch"], **options}
        whole = OmegaConf.create({"criterion": {**section, "teaforn_n": n}, "model": model})
        return build_criterion(whole.criterion, task)

    assert built("1").plan.max_steps == 1
    with pytest.raises(ValueError, match="^--decoder-output-dim: "):
        built("2")


def test_every_option_of_a_feedback_is_a_flag():
    options = {option.name for kind in FEEDBACKS.values() for option in fields(kind)}
    assert options <= FLAGS.keys()
