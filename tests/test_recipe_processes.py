"""One recipe a folder, and no command that outlives its recipe, however that ends."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import published
import pytest
import training_log
from commands import BIN, ROOT
from recipe_commands import RECIPE, STAR, TINY, recipe
from recipes import together


@pytest.fixture
def hanging(archives, tmp_path, settings):
    """A recipe whose curl waits for the rest of a file: the process and its environment."""
    shutil.copytree(archives, tmp_path / "mirror")
    with published.served(tmp_path / "mirror") as (address, mirror):
        mirror.cut["train.de.gz"] = 100
        mirror.go_on.clear()
        env = {**settings, "MIRROR": address}
        process = start("multi30k", "download", "extract", env=env)
        assert mirror.reached.wait(60)
        while not (tmp_path / "out/download/train.de.gz.partial").exists():
            time.sleep(0.05)
        time.sleep(0.2)  # for its bytes
        yield process, env
        mirror.go_on.set()
        process.kill()
        process.wait()


def start(*words, env, script=RECIPE, **kwargs):
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **env}
    return subprocess.Popen([script, *words], env=env, preexec_fn=listen, **kwargs)


def listen():
    """To signals that a suite in the background, or under nohup, ignores and would hand on."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


RECIPES = re.compile(r"scripts/(recipe|quickstart)\.(py|sh)")


def running(text):
    """Command lines of processes that have this text in them and are not recipes themselves."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
            alive = "State:\tZ" not in path.with_name("status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in command and alive and not RECIPES.search(command):
            found.append(command)
    return found


def gone(text):
    """Whether they are gone within ten seconds."""
    until = time.monotonic() + 10
    while running(text) and time.monotonic() < until:
        time.sleep(0.1)
    return not running(text)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_a_command_ends_with_the_script_that_started_it(hanging, number, tmp_path):
    process, env = hanging
    curl = f"{tmp_path}/out/download/train.de.gz.partial"
    assert running(curl)
    process.send_signal(signal.Signals[number])
    assert process.wait(20) == -signal.Signals[number]
    assert gone(curl)
    recipe("multi30k", "download", "extract", env=env)  # at once: the lock died with its owner


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_training_ends_with_a_script_that_is_killed(settings, data, tmp_path):
    (tmp_path / "out/data").mkdir(parents=True)
    (tmp_path / "out/data/bin").symlink_to(data)
    env = {**settings, "MAX_UPDATE": "1000000", "VOCAB": "120"}
    with open(tmp_path / "log", "w") as log:
        process = start("multi30k", "train", env=env, stdout=log, stderr=log)
    until = time.monotonic() + 120
    while "begin training epoch 2" not in (tmp_path / "log").read_text():
        assert time.monotonic() < until and process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.2)
    assert running(f"--save-dir {tmp_path}/out")
    process.kill()
    process.wait()
    assert gone(f"--save-dir {tmp_path}/out")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", ["SIGINT", "SIGKILL"])
def test_both_trainings_of_the_quickstart_end_with_it(number, tmp_path):
    small = {**STAR, "MAX_UPDATE": "1000000"}
    env = {f"PATH_STAR_{name}": value for name, value in small.items()}
    env |= {"VENV": "none", "GPUS": "0", "OUT": str(tmp_path / "out")}
    log = tmp_path / "log"
    with open(log, "w") as out:
        process = start(env=env, script=ROOT / "scripts/quickstart.sh", stdout=out, stderr=out)
    trainings = [tmp_path / f"out/path_star/n{n}-seed1" for n in (1, 3)]
    if together.cores() == 1:
        trainings.pop()
    try:
        until = time.monotonic() + 120
        while not all(training_log.records(x / "train.log") for x in trainings):
            assert time.monotonic() < until and process.poll() is None, log.read_text()
            time.sleep(0.2)
        assert all(running(f"--save-dir {x}") for x in trainings)
        process.send_signal(signal.Signals[number])
        assert process.wait(20) == -signal.Signals[number]
        assert all(gone(f"--save-dir {x}") for x in trainings)
    finally:
        process.kill()  # of what has not ended
        process.wait()


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_second_recipe_in_the_same_folder_stops_before_it_touches_anything(hanging, tmp_path):
    process, env = hanging
    before = snapshot(tmp_path / "out")
    for dataset, stages in (("multi30k", ["download", "clean"]), ("numerals", [])):
        out = recipe(dataset, *stages, env=env, fails=True)
        told = f"error: OUT={tmp_path}/out: process {process.pid} works there. Wait until it has"
        assert re.search(rf"{re.escape(told)} finished, or choose another OUT\.\n$", out)
    assert snapshot(tmp_path / "out") == before


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_where_no_folder_can_be_is_told(tmp_path, place):
    (tmp_path / "file").write_text("a user's own")
    env = {**TINY, "OUT": str(tmp_path / place)}
    last = recipe("numerals", "extract", env=env, fails=True).splitlines()[-1]
    assert last.startswith(f"error: OUT={tmp_path / place}: must be a folder that can be made and")
    assert last.endswith("Choose another OUT.")
    assert (tmp_path / "file").read_text() == "a user's own"
