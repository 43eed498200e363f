"""The study of path-star graphs, and with it the method's own test: look-ahead learns what teacher
forcing does not."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from commands import ROOT, run
from recipe_commands import lines
from recipes.lock import locked
from study.cells import CELLS
from study.cost import cost
from study.models import model_options
from study.runs import Run
from study.table import Table

FILES = ("runs.tsv", "curves.tsv", "summary.tsv", "summary.json")
SMALL = ("--cells", "n1", "lm-n3", "--updates", "3")


def study(folder, *options, **kwargs):
    script = ROOT / "scripts/path_star_study.py"
    where = ("--work", folder / "work", "--results", folder / "results")
    return run("python", script, *where, *options, **kwargs)


@pytest.fixture(scope="session")
def small_study(made_once):
    """A study of three updates of two cells with seed 1."""
    return made_once("path-star-study", lambda folder: study(folder, *SMALL, "--seeds", "1"))[0]


@pytest.fixture
def begun(small_study, tmp_path):
    """A copy of it, to go on with; the graphs are shared."""
    linked(small_study, tmp_path)
    shutil.copytree(small_study / "work/runs", tmp_path / "work/runs")
    shutil.copytree(small_study / "results", tmp_path / "results")
    return tmp_path


def linked(small_study, folder):
    """Have a study take the graphs of another."""
    (folder / "work").mkdir()
    (folder / "work/data").symlink_to(small_study / "work/data")


def test_look_ahead_finds_the_way_and_teacher_forcing_guesses(small_study, tmp_path):
    linked(small_study, tmp_path)
    study(tmp_path, "--cells", "n3-last", "--seeds", "1")
    study(tmp_path, "--cells", "n1", "--seeds", "1", "--updates", "600")
    guesses, finds = Table(tmp_path / "results").runs()
    assert finds.solved and finds.paths > 85  # of other graphs than those of the validation
    assert guesses.solved is None and guesses.updates == 600
    # All but the second node of six tokens, which it has half of the time.
    assert guesses.accuracy == [pytest.approx(100 * 5.5 / 6, abs=1)]
    assert guesses.paths == pytest.approx(50, abs=8)
    assert (tmp_path / "results/staircase.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_goes_on_where_it_was_and_repeats_nothing(begun):
    log = begun / "work/runs/lm-n3-1/log"
    before = log.read_bytes()
    study(begun, *SMALL, "--seeds", "1", "2", "--jobs", "2")
    assert log.read_bytes() == before
    table = Table(begun / "results")
    found = [(x.cell, x.seed, x.solved, x.updates) for x in table.runs()]
    assert found == [(cell, seed, None, 3) for cell in ("n1", "lm-n3") for seed in (1, 2)]
    assert [len(x.accuracy) for x in table.runs()] == [1, 1, 3, 3]
    summary = json.loads((begun / "results/summary.json").read_text())
    assert [(x["cell"], x["seeds"], x["solved"]) for x in summary] == [
        ("n1", 2, 0),
        ("lm-n3", 2, 0),
    ]
    heads = {name: lines(begun / "results" / name)[0].split("\t")[0] for name in FILES[:3]}
    assert set(heads.values()) == {"cell"}
    assert sorted(table.curves("lm-n3")) == [1, 2, 3]


def test_a_training_that_was_ended_goes_on_and_one_that_has_ended_does_not(begun):
    (begun / "results/runs.tsv").unlink()  # as if it had been killed just before it
    log = begun / "work/runs/n1-1/log"
    before = log.read_text(encoding="utf-8")
    study(begun, "--cells", "n1", "--seeds", "1", "--updates", "3")
    assert log.read_text(encoding="utf-8") == before
    study(begun, "--cells", "n1", "--seeds", "1", "--updates", "5")
    added = log.read_text(encoding="utf-8").removeprefix(before)
    assert "Loaded checkpoint" in added and '"valid_num_updates": "5"' in added
    table = Table(begun / "results")
    assert [run.updates for run in table.runs()] == [5]
    assert [update for update, _ in table.curves("n1")[1]] == [3, 5]


def test_a_test_that_fails_names_its_run_and_leaves_the_others(begun):
    (begun / "results/runs.tsv").unlink()
    run = begun / "work/runs/n1-1"
    (run / "checkpoint_last.pt").write_text("no checkpoint")
    small = ("--cells", "n1", "--updates", "3", "--seeds", "1", "2")
    out = study(begun, *small, fails=True)
    assert f"failed; see {run}/generated.messages\n" in out and "Traceback" not in out
    assert [run.seed for run in Table(begun / "results").runs()] == [2]


def test_runs_of_other_options_are_not_mixed(tmp_path):
    table = Table(tmp_path / "results")
    table.add(Run("n1", 1, None, 3, 0.0, [0.0], options="another"), [(3, 1, 0.0)])
    out = study(tmp_path, "--cells", "n1", "--seeds", "2", fails=True)
    assert out.endswith(
        f"error: --results: {tmp_path / 'results'} holds runs of n1 with other options than it has"
        " now. Choose another folder, or take these lines out of runs.tsv.\n"
    )
    assert not (tmp_path / "work").exists()


def test_two_studies_do_not_work_in_one_folder(tmp_path):
    with locked("--work", tmp_path / "work"):
        out = study(tmp_path, *SMALL, "--seeds", "1", fails=True)
    assert out.endswith(
        f"error: --work={tmp_path / 'work'}: process {os.getpid()} works there. Wait until it has"
        " finished, or choose another --work.\n"
    )
    assert [path.name for path in (tmp_path / "work").iterdir()] == [".lock"]


@pytest.mark.parametrize("words", [("--jobs", "0"), ("--updates", "-1"), ("--cells", "n9")])
def test_what_cannot_be_is_refused_before_work(words, tmp_path):
    assert f"argument {words[0]}: " in study(tmp_path, *words, fails=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "further"), [("n1", 0), ("n3", 2), ("every-2", 1)])
def test_an_update_costs_by_count(name, further):
    # For a token in units of 64 * 64, feed-forward layers 128 wide: an encoder layer 4 + 4, a
    # decoder layer 6 + 4, its keys and values 2, the projection 81 / 64. 11 source and 6 target
    # tokens, 6 layers and 1.
    step = (6 + 4 + 81 / 64) * 6
    first = (6 * (4 + 4) + 2) * 11 + step
    assert cost(CELLS[name], 3000) == pytest.approx((first + further * step) / first)


def test_where_n_changes_the_mean_is_counted():
    # As above; 4 and 6 layers, 10 words, 26 words of source and its end. Of 6,000 updates 4,800
    # have two steps more.
    step = (6 * (6 + 4) + 10 / 64) * 6
    first = (4 * (4 + 4) + 6 * 2) * 27 + step
    mean = (first + 4800 / 6000 * 2 * step) / first
    assert cost(CELLS["words-encoder-n3"], 6000) == pytest.approx(mean)
    assert cost(CELLS["words-encoder-n3"], 1200) == 1


def test_free_running_is_not_counted():
    assert cost(CELLS["full"], 3000) is None


def test_a_gpu_that_is_not_there_is_refused_before_work(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    out = study(tmp_path, "--device", "cuda", fails=True)
    assert "error: --device: cuda needs a GPU and a PyTorch that can use it; received cuda" in out
    assert not (tmp_path / "work").exists()


def test_a_cell_has_settings_and_a_batch_of_its_own():
    words = model_options(replace(CELLS["n3"], given={"WIDTH": "128"}, sentences=1024))
    assert words[words.index("--decoder-embed-dim") + 1] == "128"
    assert words[words.index("--batch-size") + 1] == "1024"


def test_even_embeddings_are_the_recipe_s_but_for_embeddings_and_positions():
    learned = {"--encoder-learned-pos", "--decoder-learned-pos"}
    plain, even = (
        model_options(replace(CELLS["n3"], given={"POSITIONS": x})) for x in ("learned", "even")
    )
    assert set(plain) - set(even) == learned
    assert set(even) - set(plain) == {"--no-scale-embedding", "--layernorm-embedding"}


@pytest.mark.parametrize("family", ["transformer", "transformer_lm"])
def test_a_family_has_one_architecture_and_no_options_of_another(family):
    words = model_options(replace(CELLS["n3"], family=family))
    assert words[words.index("--arch") + 1] == f"teaforn_{family}"
    names = [word for word in words if word.startswith("--")]
    assert len(names) == len(set(names))
    assert ("--encoder-layers" in names) == (family == "transformer")
    assert ("--teaforn-prompt-end" in names) == (family == "transformer_lm")
