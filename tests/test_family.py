"""The systems of the literature, each one setting of the engine (method.md, "The family")."""

import copy
import logging
import shlex
from argparse import ArgumentParser

import pytest
import reference
import torch
from comparing import assert_same, loss_and_gradients, replayed
from fairseq.dataclass.utils import gen_parser_from_dataclass

from teaforn_fairseq.criterions.in_force import as_flags, in_force
from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.unroll.plan import make_plan
from teaforn_fairseq.unroll.presets import PRESETS


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"teaforn_feedback": "topk", "teaforn_topk": 2},
        {"teaforn_feedback": "argmax"},
        {"teaforn_detach": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", [False, True])
def test_free_running_equals_the_last_step_of_n_l(build, batch, teaforn, options, norm):
    model = build(share_all_embeddings=True, decoder_normalize_before=norm)
    sample = batch((5, 3, 1, 4))
    full = teaforn("full", label_smoothing=0.1, **options)
    unrolled = teaforn("5", label_smoothing=0.1, teaforn_weights="0,0,0,0,1", **options)
    actual = loss_and_gradients(model, lambda: full(model, sample)[0])
    assert_same(actual, loss_and_gradients(model, lambda: unrolled(model, sample)[0]))
    assert full(model, sample)[2]["nll_loss"] == full(model, sample)[2]["nll_loss_1"]


@pytest.mark.usefixtures("wide_softmax")
def test_free_running_equals_decoding_slot_by_slot(build, batch, teaforn):
    model, sample = build(), batch((5, 2))

    def slot_by_slot():
        total = 0.0
        for source, target in reference.sentences(model, sample):
            features = reference.free_running(model, source, target)
            for h, label in zip(features, target, strict=True):
                total = total + reference.label_loss(model.decoder.output_layer(h), label, 0.0)
        return total

    actual = loss_and_gradients(model, lambda: teaforn("full")(model, sample)[0])
    assert_same(actual, loss_and_gradients(model, slot_by_slot))


def test_free_running_runs_each_slot_once(build, batch, teaforn):
    model, sample, widths = build(), batch((6, 4)), []
    layer = model.decoder.layers[0]
    layer.register_forward_pre_hook(lambda module, inputs: widths.append(inputs[0].size(0)))
    teaforn("full")(model, sample)
    assert widths == [1] * 6


@pytest.mark.usefixtures("wide_softmax")
def test_free_running_with_mix_0_is_teacher_forcing(build, batch, teaforn, stock_criterion):
    model, sample = build(), batch()
    actual = loss_and_gradients(model, lambda: teaforn("full", teaforn_mix="0")(model, sample)[0])
    expected = loss_and_gradients(model, lambda: stock_criterion()(model, sample)[0].double())
    assert_same(actual, expected)


def test_free_running_takes_targets_padded_on_either_side(build, batch, teaforn):
    model, right = build(), batch((3, 2))
    left = copy.deepcopy(right)
    for tokens in (left["target"], left["net_input"]["prev_output_tokens"]):
        tokens[1] = tokens[1].roll(1)
    assert left["target"][1, 0] == 1
    criterion = teaforn("full")
    actual = loss_and_gradients(model, lambda: criterion(model, left)[0])
    assert_same(actual, loss_and_gradients(model, lambda: criterion(model, right)[0]))


@pytest.mark.usefixtures("wide_softmax")
def test_scheduled_sampling_by_preset_is_two_passes_over_the_stock_decoder(build, batch, teaforn):
    model, sample = build(), batch((7,))
    criterion = teaforn(None, teaforn_preset="scheduled-sampling", teaforn_mix="linear:10")
    model.set_num_updates(6)

    def two_passes():
        tokens, target = sample["net_input"]["prev_output_tokens"], sample["target"]
        first = model(**sample["net_input"])[0].argmax(-1)
        predicted = torch.cat([tokens[:, :1], first[:, :-1]], dim=1)
        mixed = torch.where(torch.rand(tokens.shape) < 0.6, predicted, tokens)
        mixed[:, 0] = tokens[:, 0]
        second = model(**{**sample["net_input"], "prev_output_tokens": mixed})[0]
        return torch.nn.functional.cross_entropy(second[0], target[0], reduction="sum")

    actual = loss_and_gradients(model, lambda: replayed(lambda: criterion(model, sample)[0]))
    assert_same(actual, loss_and_gradients(model, lambda: replayed(two_passes)))


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("teacher-forcing", {"n": "1"}),
        ("teaforn", {"n": "2", "discount": "0.5"}),
        ("teaforn-topk", {"n": "2", "feedback": "topk"}),
        ("student-forcing", {"n": "full"}),
    ],
)
def test_presets_are_their_settings(build, batch, teaforn, preset, options):
    model, sample = build(), batch()
    by_hand = {f"teaforn_{name}": x for name, x in options.items() if name != "n"}
    assert torch.equal(
        teaforn(None, teaforn_preset=preset)(model, sample)[0],
        teaforn(options["n"], **by_hand)(model, sample)[0],
    )


def chosen(**options):
    """The options in force, given without their prefix."""
    given = {f"teaforn_{name}": x for name, x in options.items()}
    return in_force(TeaForNCrossEntropyCriterionConfig(**given))


def test_options_given_by_hand_win_over_the_preset():
    sampling = chosen(preset="scheduled-sampling", feedback="sample", mix=None, hard=False)
    assert sampling == {
        **{"n": "2", "weights": "0,1", "feedback": "sample", "labels": "aligned"},
        **{"mix": "linear:20000", "sample_positions": 1, "every": 1, "loss_impl": "auto"},
    }
    assert chosen(preset="scheduled-sampling", discount="1")["discount"] == "1"
    assert "weights" not in chosen(preset="scheduled-sampling", discount="1")
    assert chosen(preset="student-forcing", n="3")["n"] == "3"
    assert all(make_plan(chosen(preset=preset)) for preset in PRESETS)


def test_the_log_prints_what_is_in_force(teaforn, caplog):
    with caplog.at_level(logging.INFO):
        teaforn(None, teaforn_preset="teaforn-topk", teaforn_topk=7)
    assert caplog.messages[-2:] == [
        "in force: --teaforn-n 2 --teaforn-discount 0.5 --teaforn-feedback topk"
        " --teaforn-labels aligned --teaforn-mix 1 --teaforn-sample-positions 1 --teaforn-every 1"
        " --teaforn-loss-impl auto --teaforn-topk 7",
        "loss by chunks",
    ]


def test_the_log_quotes_what_a_shell_would_interpret():
    printed = as_flags(chosen(n="2", prompt_end="=>", mix="inverse-sigmoid:5@3"))
    assert "--teaforn-mix inverse-sigmoid:5@3 " in printed
    assert "--teaforn-prompt-end '=>'" in printed


PRINTED = [
    *({"preset": preset} for preset in PRESETS),
    {"n": "1", "weights": "2", "preset": "teaforn-topk"},
    {"n": "full", "labels": "aligned", "mix": "linear:5", "hard": True, "feedback": "gumbel"},
    {"n": "3", "weights": "1,2,3", "normalize": True},
    {"n": "2", "prompt_end": "it's"},
    {"n": "1@0,3@5", "recompute": True, "every": 2, "feedback": "topk", "topk": 0},
]


@pytest.mark.parametrize("options", PRINTED, ids=str)
def test_what_the_log_prints_can_be_given_by_hand_and_means_the_same(options):
    parser = ArgumentParser()
    gen_parser_from_dataclass(parser, TeaForNCrossEntropyCriterionConfig())
    printed = in_force(parser.parse_args(shlex.split(as_flags(chosen(**options)))))
    assert printed.get("prompt_end") == options.get("prompt_end")
    plans = [make_plan(x) for x in (printed, chosen(**options))]
    for update in (0, 4, 5, 6):
        now, wanted = (plan.at(update) for plan in plans)
        assert now[1:] == wanted[1:]
        # One step hands nothing on, so what a preset would feed back is not printed.
        assert now.settings == wanted.settings or options["n"] == "1"
