"""What the criterion reports, and what it refuses."""

import math
import re
from dataclasses import fields

import pytest
import torch
from comparing import reduced

from teaforn_fairseq.criterions.options import DEFAULTS, TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.loss.steps_loss import LossSettings
from teaforn_fairseq.unroll.plan import make_plan


def test_log_of_two_batches_is_their_mean_over_tokens_in_bits(build, batch, teaforn):
    model, criterion = build(), teaforn(3, label_smoothing=0.1, report_accuracy=True)
    logs = [criterion(model, batch(lengths))[2] for lengths in ((5, 3), (1, 2, 4))]
    values = reduced(logs)
    for step in (1, 2, 3):
        bits = sum(log[f"nll_loss_{step}"].item() for log in logs) / 15 / math.log(2)
        assert values[f"nll_loss_{step}"] == pytest.approx(bits, abs=6e-4)  # rounded to 3 places
        right = sum(log[f"n_correct_{step}"].item() for log in logs)
        assert values[f"accuracy_{step}"] == pytest.approx(100 * right / 15, abs=6e-4)
    assert values["nll_loss"] == values["nll_loss_1"]
    assert values["ppl"] == pytest.approx(2 ** values["nll_loss"], rel=1e-2)
    assert values["accuracy"] == values["accuracy_1"]
    objective = sum(log["loss"].item() for log in logs) / 15 / math.log(2)
    assert values["loss"] == pytest.approx(objective, abs=6e-4)


def test_per_step_values_are_those_of_the_weights_one_at_a_time(build, batch, teaforn):
    model, sample = build(), batch()
    log = teaforn(3)(model, sample)[2]
    for step, weights in enumerate(("1,0,0", "0,1,0", "0,0,1"), start=1):
        loss, _, _ = teaforn(3, teaforn_weights=weights)(model, sample)
        torch.testing.assert_close(log[f"nll_loss_{step}"], loss.detach())


def test_accuracy_counts_argmax_hits_on_real_tokens(build, batch, teaforn):
    model, sample = build(), batch((4, 2))
    log = teaforn(2, report_accuracy=True)(model, sample)[2]
    best = model(**sample["net_input"])[0].argmax(-1)
    hits = sum(
        int(best[b, t] == sample["target"][b, t])
        for b, length in ((0, 4), (1, 2))
        for t in range(length)
    )
    assert (log["n_correct"], log["n_correct_1"], log["total"]) == (hits, hits, 6)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("report_accuracy", [False, True])
@pytest.mark.parametrize("options", [{}, {"teaforn_loss_impl": "plain", "teaforn_discount": "0"}])
def test_keys_and_their_order_are_the_same_on_every_batch(
    build, batch, teaforn, n, report_accuracy, options
):
    model, criterion = build(), teaforn(n, report_accuracy=report_accuracy, **options)
    logs = []
    for training in (True, False):
        model.train(training)
        logs += [list(criterion(model, batch(lengths))[2]) for lengths in ((1,), (4, 2), (1, 1))]
    assert all(keys == logs[0] for keys in logs)
    assert {f"nll_loss_{step}" for step in range(1, n + 1)} <= set(logs[0])


@pytest.mark.parametrize("n", [1, 2, 4])
def test_sample_size_counts_each_token_once(build, batch, teaforn, n):
    model, sample = build(), batch((5, 3, 1))
    assert teaforn(n)(model, sample)[1] == 9
    assert teaforn(n, sentence_avg=True)(model, sample)[1] == 3


def plan(n, discount="0.5", weights=None):
    return make_plan({**DEFAULTS, "n": n, "discount": discount, "weights": weights})


def test_weights_by_discount_and_by_hand():
    assert plan("3").at(0)[1] == (1, 0.5, 0.25)
    assert plan("2", "0").at(0, training=False)[1] == (1, 0)
    assert plan("2", "1").at(0)[1] == (1, 1)
    assert plan("3", "0.5", "0, 2,1e-1").at(0)[1] == (0, 2, 0.1)


def test_scheduled_steps_and_discount_meet_at_each_update():
    scheduled = plan("1@0,3@10", "1@0,0.5@10,0@20")
    weights = {update: scheduled.at(update)[1] for update in (0, 9, 10, 20)}
    assert weights == {0: (1,), 9: (1,), 10: (1, 0.5, 0.25), 20: (1,)}
    assert scheduled.at(20, training=False)[1] == (1, 0, 0)
    assert scheduled.max_steps == 3


def test_a_scheduled_criterion_follows_the_models_updates(build, batch, teaforn):
    model, sample, criterion = build(), batch(), teaforn("1@0,2@5,3@6", report_accuracy=True)
    logs = {}
    for update, n in ((0, 1), (4, 1), (5, 2), (6, 3)):
        model.set_num_updates(update)
        loss, _, logs[update] = criterion(model, sample)
        assert loss == teaforn(n)(model, sample)[0]
    assert len({tuple(log) for log in logs.values()}) == 1  # the same keys in the same order
    assert {"nll_loss_1", "nll_loss_2"} <= reduced([logs[5]]).keys()
    assert "nll_loss_3" not in reduced([logs[5]])  # not computed, so not shown


CHANGES = {
    "teaforn_n": {"n": "3"},
    "teaforn_preset": {"teaforn_preset": "student-forcing", "n": None},
    "teaforn_discount": {"teaforn_discount": "0.9"},
    "teaforn_weights": {"teaforn_weights": "1,2"},
    "teaforn_normalize": {"teaforn_normalize": True},
    "teaforn_feedback": {"teaforn_feedback": "argmax"},
    "teaforn_topk": {"teaforn_topk": 1, "teaforn_feedback": "topk"},
    "teaforn_temperature": {"teaforn_temperature": 0.1, "teaforn_feedback": "gumbel"},
    "teaforn_hard": {"teaforn_hard": True, "teaforn_feedback": "gumbel"},
    "teaforn_detach": {"teaforn_detach": True},
    "teaforn_labels": {"teaforn_labels": "shifted"},
    "teaforn_mix": {"teaforn_mix": "0.5"},
    "teaforn_prompt_end": {"teaforn_prompt_end": "a"},
    "teaforn_sample_positions": {"teaforn_sample_positions": 0.5},
    "teaforn_every": {"teaforn_every": 3},
}
# Show in memory and time, not in the gradient: tests/test_fast_path.py.
COST_ONLY = {"teaforn_recompute", "teaforn_loss_impl"}


def test_every_flag_changes_the_gradient(build, batch, teaforn, task):
    flags = {f.name for f in fields(TeaForNCrossEntropyCriterionConfig)}
    assert {flag for flag in flags if flag.startswith("teaforn_")} == CHANGES.keys() | COST_ONLY
    model, sample = build(), batch((6, 5))
    sample["target"][:, 2] = task.target_dictionary.index("a")  # a prompt's end

    def gradient(**options):
        torch.manual_seed(1)
        model.zero_grad()
        teaforn(options.pop("n", "2"), **options)(model, sample)[0].backward()
        return model.decoder.layers[0].fc1.weight.grad.clone()

    for flag, options in CHANGES.items():
        without = {key: value for key, value in options.items() if key not in (flag, "n")}
        assert not torch.allclose(gradient(**options), gradient(**without)), flag


@pytest.mark.parametrize("missing", ["target", "loss_settings"])
def test_an_unroll_without_labels_or_a_loss_is_refused(build, batch, missing):
    sample, (settings, weights) = batch(), plan("2").at(0)[:2]
    given = {"target": sample["target"], "loss_settings": LossSettings(weights)}
    del given[missing]
    with pytest.raises(ValueError, match="^unroll_settings: must come with target and loss_set"):
        build()(**sample["net_input"], unroll_settings=settings, **given)


def test_a_stock_architecture_is_refused_and_its_twin_named(build, batch, teaforn):
    message = (
        "--arch: --criterion teaforn_cross_entropy needs an architecture that can be unrolled;"
        " received transformer. Use --arch teaforn_transformer."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        teaforn(1)(build("transformer"), batch())
