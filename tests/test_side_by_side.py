"""Trainings at the same time, what they log, and the picture of it."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import staircase
import training_log
from commands import PLUGIN, ROOT, TEAFORN, TINY, TRANSLATION, TWIN, log_records, run

SCRIPT = ("python", ROOT / "scripts/side_by_side.py")
# Writes its own name, and waits for the file of the other's name.
MEETS = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
until = time.monotonic() + 60
while not other.exists():
    assert time.monotonic() < until
    time.sleep(0.02)
print("met", other.name)
"""
LOGS = """
2026-01-01 00:00:00 | INFO | train_inner | {"epoch": 1, "accuracy_1": "50", "num_updates": "25"}
2026-01-01 00:00:01 | INFO | train_inner | {"accuracy_1": "60", "accuracy_2": "7.5", "num_updates": "50"}
2026-01-01 00:00:02 | INFO | valid | {"valid_accuracy_1": "61", "valid_num_updates": "50"}
2026-01-01 00:00:03 | INFO | train_inner | {"accuracy_1": "99", "num_upd2026-01-01 00:01:00 | INFO |
2026-01-01 00:01:01 | INFO | train_inner | {"accuracy_1": "61", "accuracy_2": "8", "ahead_2": "5", "num_updates": "50"}
"""  # noqa: E501  as fairseq prints them: killed in the fourth, and gone on from before update 50


def python(code, *words):
    """A command in one word, as side_by_side.py takes it."""
    return shlex.join([sys.executable, "-c", code, *map(str, words)])


def runs(tmp_path, commands):
    return [x for name, c in commands.items() for x in ("--run", name, tmp_path / f"{name}.log", c)]


def test_both_run_at_the_same_time_and_print_to_files_of_their_own(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    (tmp_path / "one.log").write_text(LOGS)  # of a training that goes on
    commands = {"one": python(MEETS, a, b), "two": python(MEETS, b, a)}
    out = run(*SCRIPT, *runs(tmp_path, commands))
    assert out.endswith(" s  one: 50 updates; two: 0 updates\n")
    assert (tmp_path / "one.log").read_text() == f"{LOGS}met b\n"
    assert (tmp_path / "two.log").read_text() == "met a\n"


@pytest.mark.parametrize(("given", "threads"), [({}, "3"), ({"OMP_NUM_THREADS": "2"}, "2")])
def test_each_has_its_share_of_threads_unless_the_user_says_otherwise(given, threads, tmp_path):
    command = python("import os; print(os.environ['OMP_NUM_THREADS'])")
    env = {"OMP_NUM_THREADS": "", **given}
    run(*SCRIPT, "--threads", "3", *runs(tmp_path, {"one": command}), env=env)
    assert (tmp_path / "one.log").read_text() == f"{threads}\n"


STAYS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
FAILS = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).read_text():
    time.sleep(0.02)
print(*range(99), sep="\\n", flush=True)
sys.exit("no such flag")
"""


def gone(log):
    """Whether the process that wrote its number is."""
    try:
        os.kill(int(log.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_one_that_fails_ends_the_other_and_shows_the_end_of_its_log(tmp_path):
    stays = tmp_path / "stays.log"
    commands = {"stays": python(STAYS), "fails": python(FAILS, stays)}
    done = subprocess.run(
        [*SCRIPT, *runs(tmp_path, commands)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1
    *shown, why, told = done.stdout.splitlines()[-21:]
    assert shown == [str(number) for number in range(80, 99)] and why == "no such flag"
    assert told == f"fails ended with status 1; above is the end of {tmp_path}/fails.log"
    assert gone(stays)


def test_a_signal_to_it_alone_ends_all(tmp_path):
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    commands = {"one": python(STAYS), "two": python(STAYS)}
    process = subprocess.Popen([*SCRIPT, *runs(tmp_path, commands)])
    until = time.monotonic() + 60
    while not all(log.exists() and log.read_text() for log in logs):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    assert all(map(gone, logs))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(LOGS)
    return path


def test_a_log_is_read_by_kind_and_the_last_of_an_update_counts(log, tmp_path):
    first, second = training_log.records(log)
    assert (first["num_updates"], second["num_updates"]) == (25, 50)
    assert second["accuracy_1"] == "61" and "epoch" not in second
    assert [r["valid_accuracy_1"] for r in training_log.records(log, "valid")] == ["61"]
    assert training_log.records(tmp_path / "none") == []


def test_curves_are_the_numbers_of_the_log(log):
    logged = training_log.records(log)
    assert training_log.curves(logged, "accuracy") == {1: [(25, 50.0), (50, 61.0)], 2: [(50, 8.0)]}
    assert training_log.curves(logged, "ahead") == {2: [(50, 5.0)]}
    assert training_log.curves(logged, "nll_loss") == {}


def test_the_curves_of_a_training_are_what_it_logged(data, tmp_path):
    options = ("--teaforn-n", "2", "--report-accuracy", "--max-update", "4")
    words = ["fairseq-train", data, "--user-dir", PLUGIN, *TWIN, *TRANSLATION, *TEAFORN, *TINY]
    out = run(*words, "--save-dir", tmp_path / "run", *options)
    (tmp_path / "train.log").write_text(out)
    logged = training_log.records(tmp_path / "train.log")
    theirs = [
        (int(r["num_updates"]), float(r["accuracy_2"])) for r in log_records(out)["train_inner"]
    ]
    assert training_log.curves(logged, "accuracy")[2] == theirs and len(theirs) == 4
    assert len(training_log.records(tmp_path / "train.log", "valid")) == len(
        log_records(out)["valid"]
    )


def test_the_picture_has_the_curves_of_every_training(log, tmp_path):
    picture = tmp_path / "p.png"
    words = ("--out", picture, "--run", "one", log, "--run", "two", log)
    run("python", ROOT / "scripts/staircase.py", *words)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    figure = staircase.figure_of({name: staircase.read(log) for name in ("one", "two")}, "title")
    for axes, name in zip(figure.axes, ("one", "two"), strict=True):
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert axes.get_title() == name and drawn == {
            "step 1": [[25, 50], [50, 61]],
            "step 2": [[50, 8]],
            "steps 1 to 2, all right": [[50, 5]],
        }


def test_a_log_without_accuracies_is_refused(tmp_path):
    (tmp_path / "log").write_text(LOGS.replace("accuracy", "loss"))
    words = ("--out", tmp_path / "p.png", "--run", "one", tmp_path / "log")
    out = run("python", ROOT / "scripts/staircase.py", *words, fails=True)
    assert out == (
        "error: --run: must be logs of --report-accuracy and --log-format json; received"
        f" {tmp_path}/log.\n"
    )
    assert not (tmp_path / "p.png").exists()
