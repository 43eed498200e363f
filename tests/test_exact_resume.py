"""Training that is killed and resumed goes on exactly; a checkpoint is whole or absent."""

import functools
import random
import resource
import signal
import time
from contextlib import contextmanager

import pytest
import torch
from commands import TEAFORN, Training, log_records, train, values
from fairseq import checkpoint_utils

RANDOM = ["--teaforn-feedback", "sample", "--teaforn-mix", "0.5"]  # and dropout
OFTEN = ["--save-interval-updates", "1", "--keep-interval-updates", "2"]


def parameters(save_dir):
    return torch.load(save_dir / "checkpoint_last.pt", weights_only=True)["model"]


def test_ten_kills_at_random_moments_change_nothing(data, tmp_path):
    options = [*TEAFORN, *RANDOM, "--update-freq", "2", "--max-tokens", "400"]
    # Longer than a killed run gets, over several epochs.
    options += ["--max-update", "60", "--num-workers", "0"]
    whole = train(data, tmp_path / "whole", *options)["train_inner"]
    expected, moment = values(whole), random.Random(1)
    assert len({record["epoch"] for record in whole}) > 3
    save_dir, kills, seen = tmp_path / "killed", 0, 0
    for attempt in range(10):
        run = Training(data, save_dir, *options, *OFTEN, log=tmp_path / f"log{attempt}")
        run.wait_for_updates(moment.choice((0, 1, 2, 5)))
        time.sleep(moment.random() / 10)
        run.kill()
        kills += run.process.exitcode == -9
        seen += assert_same(run.log.read_text(), expected)
        for checkpoint in save_dir.glob("*.pt"):
            assert "model" in torch.load(checkpoint, weights_only=True), checkpoint
    assert kills == 10 and seen >= 10
    rest = train(data, save_dir, *options, *OFTEN)["train_inner"]
    assert len(rest) < 60  # it did resume
    assert values(rest).items() <= expected.items()
    final = parameters(tmp_path / "whole")
    for name, parameter in parameters(save_dir).items():
        assert torch.equal(parameter, final[name]), name


def assert_same(log, expected):
    """The log's whole lines are those of the run that was never stopped; how many there are."""
    records = log_records(log.rpartition("\n")[0]).get("train_inner", [])
    assert values(records).items() <= expected.items()
    return len(records)


@pytest.mark.parametrize("update_freq", ["1", "3"])
def test_a_run_stopped_in_a_later_epoch_gets_the_same_batches(data, tmp_path, update_freq):
    # Sentences of equal length, whose order is random, abound in these data.
    options = [*TEAFORN, "--update-freq", update_freq, "--max-tokens", "400"]
    options += ["--disable-validation"]
    whole = train(data, tmp_path / "whole", *options, "--max-update", "36")
    assert whole["train_inner"][30]["epoch"] > 1
    for stop in ("30", "36"):
        cut = train(data, tmp_path / "cut", *options, "--max-update", stop)
    assert len(cut["train_inner"]) == 6
    assert values(cut["train_inner"]).items() <= values(whole["train_inner"]).items()


def test_the_stock_criterion_resumes_exactly_too(data, tmp_path):
    options = ["--criterion", "label_smoothed_cross_entropy", "--disable-validation"]
    whole = train(data, tmp_path / "whole", *options, "--max-update", "20")
    for stop in ("18", "20"):
        cut = train(data, tmp_path / "cut", *options, "--max-update", stop)
    assert values(cut["train_inner"]).items() <= values(whole["train_inner"]).items()


@contextmanager
def largest_file(size):
    """No file may grow beyond this many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_copy_that_breaks_off_leaves_the_old_file(tmp_path):
    new, last = tmp_path / "checkpoint1.pt", tmp_path / "checkpoint_last.pt"
    new.write_bytes(b"new" * 1000)
    last.write_bytes(b"old")
    copy = functools.partial(checkpoint_utils.PathManager.copy, overwrite=True)
    with pytest.raises(OSError), largest_file(1000):
        copy(str(new), str(last))
    assert last.read_bytes() == b"old"
    assert copy(str(new), str(last))
    assert last.read_bytes() == new.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, last.name]
