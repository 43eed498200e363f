"""``--teaforn-normalize``: weights of one size (method.md, "Weights of one size")."""

import pytest
import torch
from commands import TEAFORN, train
from comparing import LOSSES, assert_same, loss_and_gradients, replayed

from teaforn_fairseq.criterions.options import DEFAULTS
from teaforn_fairseq.unroll.plan import make_plan


def plan(**options):
    return make_plan({**DEFAULTS, "normalize": True, **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n": "2"}, {0: (1 / 1.5, 0.5 / 1.5)}),
        ({"n": "3", "discount": "1"}, {0: (1 / 3, 1 / 3, 1 / 3)}),
        ({"n": "3", "weights": "3,0,1"}, {0: (0.75, 0, 0.25)}),
        ({"n": "2", "weights": "0,5"}, {0: (0, 1)}),
        (
            {"n": "1@0,2@10,3@20", "discount": "0.5@0,1@20,0@30"},
            {0: (1,), 10: (1 / 1.5, 0.5 / 1.5), 20: (1 / 3, 1 / 3, 1 / 3), 30: (1, 0, 0)},
        ),
    ],
)
def test_weights_are_divided_by_their_sum_at_each_update(options, expected):
    planned = plan(**options)
    for update, weights in expected.items():
        assert planned.at(update, training=False).weights == pytest.approx(weights, abs=1e-15)
        run = planned.at(update).weights  # idle last steps are left out, and weigh nothing
        assert run == pytest.approx(weights[: len(run)]) and sum(run) == pytest.approx(1)


def test_every_multiplies_the_normalised_weights():
    planned = plan(n="3", weights="2,1,1", every=4)
    assert planned.at(0).weights == (0.5, 1, 1)  # 4 times a quarter
    assert planned.at(1).weights == (0.5,)
    assert planned.at(1, training=False).weights == (0.5, 0.25, 0.25)


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("n", "size", "options"),
    [
        (2, 1.5, {}),
        (3, 1.75, {"teaforn_labels": "shifted", "label_smoothing": 0.1}),
        (3, 8, {"teaforn_weights": "5,1,2"}),
        (3, 1.75, {"teaforn_sample_positions": 0.5}),
        (2, 1.5, {"teaforn_every": 3}),
        (None, 1.5, {"teaforn_preset": "teaforn-topk"}),
        ("2@0,1@1", 1.5, {}),
    ],
)
def test_loss_and_gradients_are_those_without_it_over_the_sum(
    build, batch, teaforn, loss, n, size, options
):
    model, sample = build(share_all_embeddings=True), batch()
    options = {"teaforn_loss_impl": loss, **options}
    plain, normal = teaforn(n, **options), teaforn(n, teaforn_normalize=True, **options)
    for training in (True, False):
        model.train(training)
        actual = loss_and_gradients(model, lambda: replayed(lambda: normal(model, sample)[0]))
        expected = loss_and_gradients(
            model, lambda: replayed(lambda: plain(model, sample)[0]) / size
        )
        assert_same(actual, expected)


def test_the_mean_over_k_updates_is_the_gradient_of_the_normalised_weights(build, batch, teaforn):
    model, sample = build(share_all_embeddings=True), batch((4, 3))
    whole = teaforn(3, teaforn_normalize=True)
    third = teaforn(3, teaforn_normalize=True, teaforn_every=3)

    def mean():
        losses = []
        for update in range(3):
            model.set_num_updates(update)
            losses.append(third(model, sample)[0])
        return torch.stack(losses).mean()

    expected = loss_and_gradients(model, lambda: whole(model, sample)[0])
    assert_same(loss_and_gradients(model, mean), expected)


def test_the_logged_loss_is_the_weighted_mean_of_the_steps(data, tmp_path):
    options = ["--teaforn-n", "1@0,3@2", "--teaforn-normalize", "--label-smoothing", "0"]
    log = train(data, tmp_path / "run", *TEAFORN, *options, "--max-update", "4", "--no-save")
    lines = [("", line) for line in log["train_inner"]] + [("valid_", log["valid"][-1])]
    assert [f"{prefix}nll_loss_3" in line for prefix, line in lines] == [False] * 2 + [True] * 3
    for prefix, line in lines:
        weights = (4, 2, 1) if f"{prefix}nll_loss_3" in line else (1,)
        steps = [float(line[f"{prefix}nll_loss_{i}"]) for i in range(1, len(weights) + 1)]
        mean = sum(w * nll for w, nll in zip(weights, steps, strict=True)) / sum(weights)
        assert float(line[f"{prefix}loss"]) == pytest.approx(mean, abs=2e-3)  # of rounded values
