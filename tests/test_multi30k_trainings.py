"""The trainings of the study of translation: going on, their last checkpoint, their seconds."""

import json
import os
from dataclasses import replace

import pytest
import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu
from multi30k_commands import SETTINGS, study
from multi30k_study import in_line
from recipes.lock import locked
from study.processes import run_all
from translation_study.arms import ARMS, Arm, beginning, cut
from translation_study.jobs import Place, prepare
from translation_study.trainings import Run, checkpoints_before, seconds, train


@pytest.fixture
def tiny(checksums):
    return {**SETTINGS, "CHECKSUMS": str(checksums)}


def test_a_longer_training_goes_on_where_the_shorter_one_ended(archives, tiny, tmp_path):
    common = ("--data", archives, "--seeds", "1", "--updates", "4", "c=8", "--stages", "train")
    study(tmp_path, *common, "--arms", "c", "a", "--jobs", "2", settings=tiny)
    log = (tmp_path / "work/runs/en-de/c-1/log").read_text(encoding="utf-8")
    assert "Loaded checkpoint" in log and "a-1/checkpoint" in log
    study(tmp_path / "alone", *common, "--arms", "c", "--updates", "8", settings=tiny)
    same_models(tmp_path, "c-1")


def same_models(folder, name):
    models = [x / f"work/models/en-de/{name}.pt" for x in (folder, folder / "alone")]
    one, other = (load_checkpoint_to_cpu(str(x))["model"] for x in models)
    torch.testing.assert_close(one, other)


def test_one_that_begins_to_look_ahead_goes_on_from_teacher_forcing(archives, tiny, tmp_path):
    arms = {"a": cut(ARMS["a"], 4), "tuned": Arm("", {"N": "1@0,2@4"}, updates=8, continues="a")}
    for folder, names in ((tmp_path, ("a", "tuned")), (tmp_path / "alone", ("tuned",))):
        place = Place(folder / "work", archives, settings=tiny)
        for name in names:
            one = Run(place, "en-de", name, arms[name], 1)
            prepare(one.job)
            train(one)
    log = (tmp_path / "work/runs/en-de/tuned-1/log").read_text(encoding="utf-8")
    assert "a-1/checkpoint" in log and "train_nll_loss_2" in log
    same_models(tmp_path, "tuned-1")
    place = Place(tmp_path / "work", archives, settings=tiny)
    no_longer = Run(place, "en-de", "c", cut(ARMS["c"], 4), 1)
    longer = Run(place, "en-de", "c", cut(ARMS["c"], 6), 1)
    assert not checkpoints_before(no_longer) and list(checkpoints_before(longer)) == [4]


@pytest.mark.parametrize(
    ("updates", "n"), [(3, "1"), (4, "1"), (5, "1@0,2@4"), (7, "1@0,2@4"), (8, "1@0,2@4,3@7")]
)
def test_the_beginning_of_an_arm_is_of_the_values_it_has_then(updates, n):
    arm = Arm("", {"N": "1@0,2@4,3@7"}, updates=9)
    assert beginning(arm, updates) == replace(arm, settings={"N": n}, updates=updates)
    assert beginning(ARMS["b"], updates) == cut(ARMS["b"], updates)


def test_seconds_are_of_all_epochs_and_of_the_trainings_before(tmp_path):
    place = Place(tmp_path, settings=SETTINGS)
    epochs_of = {"a": {1: 5, 2: 7, 3: 2}, "c": {3: 6, 4: 8}, "a-long": {4: 9}, "a-longer": {5: 1}}
    runs = {x: Run(place, "en-de", x, cut(ARMS[x], 4), 1) for x in ("b", *epochs_of)}
    for name, epochs in epochs_of.items():
        runs[name].folder.mkdir(parents=True)
        told = (
            {"epoch": x, "train_num_updates": str(x), "train_train_wall": str(wall)}
            for x, wall in epochs.items()
        )
        text = "".join(f"2026 | INFO | train | {json.dumps(x)}\n" for x in told)
        (runs[name].folder / "log").write_text(text)
    # The third epoch's meter was saved and went on.
    assert {x: seconds(runs[x]) for x in "abc"} == {"a": 14, "b": None, "c": 5 + 7 + 6 + 8}
    assert [seconds(runs[x]) for x in ("a-long", "a-longer")] == [14 + 9, 14 + 9 + 1]


def test_what_goes_on_from_another_comes_behind_it_in_its_line(tmp_path):
    place, names = Place(tmp_path), ("c-long", "b", "a-longer", "c", "a-long", "b-long", "a", "n3")
    found = in_line([Run(place, "en-de", x, ARMS[x], 1) for x in names])
    lines = [[run.name for run in line] for line in found]
    assert lines == [["b", "b-long"], ["a", "c", "a-long", "a-longer", "c-long"], ["n3"]]


def test_a_training_that_ends_with_an_epoch_has_its_last_checkpoint(archives, tiny, tmp_path):
    whole = {"MAX_TOKENS": "100000", "BATCH": "100000", "SAVE_INTERVAL": "1", "AVERAGE": "1"}
    place = Place(tmp_path, archives, settings={**tiny, **whole})
    one = Run(place, "en-de", "a", cut(ARMS["a"], 2), 1)
    prepare(one.job)
    train(one)
    assert "(epoch 2 @ 2 updates" in (one.folder / "log").read_text(encoding="utf-8")
    assert [x.name for x in one.folder.glob("*.pt")] == ["checkpoint_last_2.pt"]
    state = load_checkpoint_to_cpu(str(one.folder / "checkpoint_last_2.pt"))["model"]
    model = load_checkpoint_to_cpu(str(one.model))["model"]
    torch.testing.assert_close(model, {name: state[name] for name in model})


def test_two_studies_do_not_train_the_same(tmp_path):
    runs = [Run(Place(tmp_path, settings=SETTINGS), "en-de", x, ARMS[x], 1) for x in "ab"]
    done = []
    with locked("--work", runs[0].folder):
        (failure,) = run_all(lambda x: train(x) if x is runs[0] else done.append(x), runs, jobs=1)
    assert failure == (
        f"--work={runs[0].folder}: process {os.getpid()} works there. Wait until it has finished,"
        " or choose another --work."
    )
    assert done == runs[1:] and [x.name for x in runs[0].folder.iterdir()] == [".lock"]
