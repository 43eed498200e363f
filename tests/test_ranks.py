"""fairseq-train as several processes over gloo, by its own command line."""

import socket

import pytest
import small_lm
from commands import TEAFORN, Training, log_records, train, values

# Random choices differ between ranks, so there are none: the losses are to be compared.
OPTIONS = [*TEAFORN, "--teaforn-n", "3", "--dropout", "0", "--max-tokens", "500"]


def start_ranks(data, save_dir, world_size, *options, log, **kwargs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [
        *("--ddp-backend", "legacy_ddp", "--distributed-backend", "gloo"),
        *("--distributed-no-spawn", "--distributed-world-size", world_size),
        *("--distributed-init-method", f"tcp://127.0.0.1:{port}"),
    ]
    return [
        Training(
            *(data, save_dir, *options, *launch, "--distributed-rank", rank),
            log=log.with_name(f"{log.name}-rank{rank}"),
            **kwargs,
        )
        for rank in range(world_size)
    ]


def train_ranks(*args, **kwargs):
    """The log of the first rank, which is the only one to log training, once all have ended."""
    first, *others = start_ranks(*args, **kwargs)
    records = first.finish()
    for rank in others:
        rank.finish()
    return records


def assert_close_records(records, expected):
    """The logged values up to rounding, per-step ones included."""
    assert len(records) == len(expected) > 0
    for record, other in zip(records, expected, strict=True):
        assert record.keys() == other.keys()
        for key, value in other.items():
            if key.startswith(("loss", "nll_loss", "accuracy", "ahead", "gnorm")):
                assert float(record[key]) == pytest.approx(float(value), abs=2e-3, rel=2e-3), key
            elif key in ("epoch", "num_updates", "lr"):
                assert record[key] == value, key


@pytest.fixture(scope="module")
def whole(data, made_once):
    """What two ranks log that are never stopped."""
    options = [*OPTIONS, "--disable-validation", "--no-save", "--max-update", "16"]
    _, log = made_once("ranks", lambda x: train_ranks(data, x, 2, *options, log=x / "log"))
    return values(log["train_inner"])


@pytest.fixture(scope="module")
def batches(data, made_once):
    """How many an epoch has."""
    once = [*OPTIONS, "--max-epoch", "1", "--no-save", "--disable-validation"]
    return len(made_once("epoch", lambda folder: train(data, folder, *once))[1]["train_inner"])


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_log_the_values_of_one_process_with_update_freq(data, batches, tmp_path, world_size):
    options = [*OPTIONS, "--max-update", "10", "--no-save", "--report-accuracy"]
    once = ["--disable-validation"]
    one = train(data, tmp_path / "one", *options, *once, "--update-freq", world_size)
    ranks = train_ranks(
        *(data, tmp_path / "ranks", world_size, *options, *once), log=tmp_path / "log"
    )
    shown = ranks["train_inner"][0].keys()
    assert {*(f"nll_loss_{step}" for step in (1, 2, 3)), "ahead_2", "ahead_3"} <= shown
    assert_close_records(ranks["train_inner"], one["train_inner"])
    assert ranks["train_inner"][-1]["epoch"] > 1
    assert batches % world_size, "the last update of an epoch leaves a rank without a batch"


def test_ranks_count_what_is_behind_the_prompts_as_one_process_does(prompted, tmp_path):
    options = ["--sample-break-mode", "eos", "--teaforn-prompt-end", "=>", "--report-accuracy"]
    options += ["--dropout", "0", "--max-update", "4", "--no-save", "--disable-validation"]
    one = small_lm.train(prompted, tmp_path / "one", *options, "--update-freq", "2")
    ranks = train_ranks(
        *(prompted, tmp_path / "ranks", 2, *options), log=tmp_path / "log", task=small_lm.LM
    )
    assert_close_records(ranks["train_inner"], one["train_inner"])
    sizes = [[float(x["wpb"]) for x in log["train_inner"]] for log in (one, ranks)]
    assert sizes[0] == sizes[1]


def test_ranks_resume_exactly_from_a_checkpoint_that_the_first_one_reads(data, whole, tmp_path):
    options = [*OPTIONS, "--disable-validation", "--max-update"]
    train_ranks(data, tmp_path / "cut", 2, *options, "11", log=tmp_path / "cut-log")
    rest = train_ranks(data, tmp_path / "cut", 2, *options, "16", log=tmp_path / "rest-log")
    assert len(rest["train_inner"]) == 5
    assert values(rest["train_inner"]).items() <= whole.items()


@pytest.mark.parametrize("dead", [0, 1])
def test_a_dead_rank_ends_the_run_which_then_resumes(data, whole, tmp_path, dead):
    options = [*OPTIONS, "--save-interval-updates", "1", "--keep-interval-updates", "1"]
    options += ["--max-update"]
    ranks = start_ranks(data, tmp_path / "run", 2, *options, "5000", log=tmp_path / "log")
    ranks[0].wait_for_updates(3)
    ranks[dead].kill()
    printed = ranks[1 - dead].finish(seconds=60, fails=True)
    assert "Error" in printed.splitlines()[-1]
    done = log_records(ranks[0].log.read_text().rpartition("\n")[0])["train_inner"]
    rest = train_ranks(data, tmp_path / "run", 2, *options, "12", log=tmp_path / "rest")
    assert len(done) >= 3 and len(rest["train_inner"]) < 12
    assert values(rest["train_inner"]).items() <= whole.items()
