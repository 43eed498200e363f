"""What scripts/quickstart.sh decides by itself: whose a setting is, and when a training begins."""

import os
import shutil

import pytest
from commands import environment
from recipes import quickstart, together
from recipes.errors import Refused
from recipes.processes import Processes
from recipes.shell import Shell


def test_weights_and_feedback_are_those_of_the_systems_that_have_more_steps():
    star = {"PATH_STAR_WEIGHTS": "1,1,1", "PATH_STAR_FEEDBACK": "topk"}
    tasks = quickstart.tasks({"GPUS": "0", "WEIGHTS": "1,2", "FEEDBACK": "argmax", **star})
    for task in tasks:
        task.check()
    found = [[(s["WEIGHTS"], s["FEEDBACK"]) for s in task.values.values()] for task in tasks]
    assert found == [[("", ""), ("1,1,1", "topk")], [("", ""), ("1,2", "argmax")]]


def test_a_weight_for_each_step_is_asked_for_all_the_same():
    star, _ = quickstart.tasks({"GPUS": "0", "PATH_STAR_WEIGHTS": "1,1"})
    with pytest.raises(Refused, match=r"^WEIGHTS=1,1: needs a weight for each step; received N=3"):
        star.check()


@pytest.fixture
def one_core():
    """This test and what it starts on one core."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs a system that can keep a process on a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def test_on_one_core_a_training_begins_when_the_one_before_it_has_ended(
    preprocessed, one_core, tmp_path
):
    shutil.copytree(preprocessed, tmp_path / "data")
    _, text = quickstart.tasks({"GPUS": "0", "VOCAB": "120", "OUT": str(tmp_path)})
    text.check()
    jobs = text.jobs(Shell(Processes(environment(None)), dry=False), ("--no-such-option",))
    with pytest.raises(Refused, match="^training stopped, for the reason above"):
        together.train(jobs)
    assert [(tmp_path / name).exists() for name in ("n1", "n2")] == [True, False]
