"""Steps of weight 0: those that no later step needs are not run in training."""

import logging

import pytest
import torch
from comparing import LOSSES, assert_same, loss_and_gradients


@pytest.fixture
def num_steps():
    """num_steps(model, criterion, sample): how many steps a batch runs."""

    def run(model, criterion, sample):
        seen = []
        hook = model.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["unroll_settings"].num_steps),
            with_kwargs=True,
        )
        criterion(model, sample)
        hook.remove()
        return seen[0]

    return run


@pytest.mark.parametrize(
    ("n", "options", "steps"),
    [
        (2, {"teaforn_discount": "0"}, {0: 1, 9: 1}),
        (2, {"teaforn_weights": "1,0"}, {0: 1}),
        (4, {"teaforn_weights": "1,0,1,0"}, {0: 3}),
        (None, {"teaforn_preset": "scheduled-sampling"}, {0: 2}),
        ("1@0,3@4", {"teaforn_discount": "0@0,0.5@5,0@7"}, {0: 1, 4: 1, 5: 3, 6: 3, 7: 1}),
        (3, {"teaforn_weights": "1,1,0", "teaforn_every": 2}, {0: 2, 1: 1, 2: 2}),
    ],
)
def test_training_runs_no_step_behind_the_last_that_weighs(
    build, batch, teaforn, num_steps, n, options, steps
):
    model, sample, criterion = build(), batch(), teaforn(n, **options)
    keys = set()
    for update in steps:
        model.set_num_updates(update)
        assert num_steps(model, criterion, sample) == steps[update]
        keys.add(tuple(criterion(model, sample)[2]))
    model.eval()
    whole = criterion.plan.num_steps(update)
    assert num_steps(model, criterion, sample) == whole
    log = criterion(model, sample)[2]
    assert log[f"ntokens_{int(whole)}"] == sample["ntokens"]  # so validation shows its nll_loss
    assert keys == {tuple(log)}


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("kept", "all_steps"), [("1", "1,0,0"), ("0.5,1", "0.5,1,0"), ("2", "2,0")]
)
def test_what_is_left_out_changes_no_gradient(build, batch, teaforn, loss, kept, all_steps):
    model, sample = build(), batch()

    def result(weights):
        options = {"teaforn_loss_impl": loss, "label_smoothing": 0.1}
        criterion = teaforn(weights.count(",") + 1, teaforn_weights=weights, **options)
        return loss_and_gradients(model, lambda: criterion(model, sample)[0])

    assert_same(result(all_steps), result(kept))
    # Not 0 but next to it, so that the step is run.
    assert_same(result(all_steps), result(all_steps.replace(",0", ",1e-13")))


@pytest.mark.usefixtures("wide_softmax")
@pytest.mark.parametrize("loss", LOSSES)
def test_a_single_steps_weight_counts_whatever_the_loss(build, batch, teaforn, loss):
    model, sample = build(), batch()
    one = teaforn(1, teaforn_loss_impl=loss)(model, sample)[0]
    two = teaforn(1, teaforn_loss_impl=loss, teaforn_weights="2")(model, sample)[0]
    torch.testing.assert_close(two, 2 * one)
    each = teaforn(1, teaforn_loss_impl=loss)(model, sample, reduce=False)[0]
    torch.testing.assert_close(each.sum(), one)


@pytest.mark.parametrize(
    ("n", "discount", "said"),
    [
        ("2", "0", ["step 2 from update 0 on"]),
        ("2", "0.5", []),
        ("1", "0", []),
        ("1@0,4@10", "0@0,1@20", ["steps 2 to 4 from update 10 to 19"]),
    ],
)
def test_the_log_says_once_what_training_leaves_out(
    build, batch, teaforn, caplog, n, discount, said
):
    with caplog.at_level(logging.INFO):
        criterion = teaforn(n, teaforn_discount=discount)
        for _ in range(2):
            criterion(build(), batch())
    found = [message for message in caplog.messages if "weight 0" in message]
    assert found == [
        f"weight 0, so training leaves out {steps}; validation runs all steps" for steps in said
    ]
