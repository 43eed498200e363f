"""The log of updates that do not run all steps: nothing is None, and its lines compare."""

from contextlib import ExitStack

import pytest
from commands import TEAFORN, train
from comparing import LOSSES
from fairseq.logging import metrics

N3 = ["--teaforn-n", "3"]
SETTINGS = {
    "every": [*N3, "--teaforn-every", "3"],
    "every, several updates a line": ["--teaforn-every", "3", "--log-interval", "2"],
    "every, plain, several batches": [
        *("--teaforn-every", "2", "--teaforn-loss-impl", "plain", "--update-freq", "2")
    ],
    "fewer steps later": ["--teaforn-n", "3@0,1@2,2@4"],
    "no weight": [*N3, "--teaforn-discount", "0.5@0,0@3"],
    "weight in the middle": [*N3, "--teaforn-weights", "0,1,0"],
    "sampled": [*N3, "--teaforn-sample-positions", "0.3", "--update-freq", "2"],
    "shifted, prefix": [*N3, "--teaforn-labels", "shifted", "--ignore-prefix-size", "2"],
    "full": ["--teaforn-n", "full"],
    "plain, one step": ["--teaforn-n", "1", "--teaforn-loss-impl", "plain"],
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_every_line_has_step_1_as_nll_loss_and_no_none(data, tmp_path, options):
    log = train(
        *(data, tmp_path / "run", *TEAFORN, "--report-accuracy", *options),
        *("--max-update", "6", "--no-save"),
    )
    lines = [(kind, line) for kind, records in log.items() for line in records]
    assert {kind for kind, _ in lines} == {"train_inner", "train", "valid"}
    for kind, line in lines:
        prefix = "" if kind == "train_inner" else f"{kind}_"
        for key in ("nll_loss", "accuracy"):
            assert line[f"{prefix}{key}"] == line[f"{prefix}{key}_1"]
        assert all(value not in (None, "None", "nan") for value in line.values())
        assert not any(key.removeprefix(prefix).startswith("_") for key in line)


@pytest.fixture
def logged():
    """logged(criterion, log): the line that fairseq-train shows after one update."""
    with ExitStack() as stack:
        stack.enter_context(metrics.aggregate(new_root=True))  # stands for "default"
        inner = stack.enter_context(metrics.aggregate("test_log_compares"))

        def line(criterion, *logs):
            with metrics.aggregate():
                criterion.reduce_metrics(list(logs))
            values = inner.get_smoothed_values()
            inner.reset()
            return values

        yield line


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("options", [{}, {"teaforn_weights": "2,0.5,1"}, {"sentence_avg": True}])
def test_with_every_each_update_logs_the_loss_of_all_steps(
    build, batch, teaforn, logged, loss, options
):
    """The model and the batch never change, so that the lines are to be equal."""
    model, sample = build(), batch()
    options = {"label_smoothing": 0.1, "teaforn_loss_impl": loss, **options}
    whole, third = teaforn(3, **options), teaforn(3, teaforn_every=3, **options)
    expected = logged(whole, whole(model, sample)[2])
    for update in range(7):
        model.set_num_updates(update)
        line = logged(third, third(model, sample)[2], third(model, sample)[2])
        assert line["loss"] == pytest.approx(expected["loss"], abs=2e-3)  # of values near 10
        steps = [key for key in line if key.startswith("nll_loss_")]
        assert len(steps) == (3 if update % 3 == 0 else 1)
        assert {key: line[key] for key in steps} == {key: expected[key] for key in steps}
    model.eval()
    assert logged(third, third(model, sample)[2])["loss"] == expected["loss"]


def test_a_resumed_run_logs_the_losses_of_one_that_never_stopped(data, tmp_path):
    options = [*TEAFORN, *N3, "--teaforn-every", "3", "--disable-validation", "--max-update"]
    whole = train(data, tmp_path / "whole", *options, "8")["train_inner"]
    # Update 5 is the sixth; steps 2 and 3 ran at update 3.
    train(data, tmp_path / "cut", *options, "5")
    rest = train(data, tmp_path / "cut", *options, "8")["train_inner"]
    assert [x["loss"] for x in rest] == [x["loss"] for x in whole[5:]] and len(rest) == 3
    assert [x.keys() - {"wall"} for x in rest[1:]] == [x.keys() - {"wall"} for x in whole[6:]]
