"""The study of path-star graphs, and with it the method's own test: look-ahead learns what teacher
forcing does not."""

import json
from dataclasses import replace

import pytest
from commands import ROOT, run
from recipe_commands import lines
from study.cells import CELLS
from study.cost import cost
from study.models import model_options
from study.runs import needed_accuracy
from study.table import Table

FILES = ("runs.tsv", "curves.tsv", "summary.tsv", "summary.json")


def study(folder, *options, **kwargs):
    script = ROOT / "scripts/path_star_study.py"
    where = ("--work", folder / "work", "--results", folder / "results")
    return run("python", script, *where, *options, **kwargs)


def test_look_ahead_finds_the_way_and_teacher_forcing_guesses(tmp_path):
    study(tmp_path, "--cells", "n3-last", "--seeds", "1")
    study(tmp_path, "--cells", "n1", "--seeds", "1", "--updates", "600")
    guesses, finds = Table(tmp_path / "results").runs()
    assert finds.solved and finds.paths >= 95
    assert guesses.solved is None and guesses.updates == 600
    # All but the second node of six tokens, which it has half of the time.
    assert guesses.accuracy == [pytest.approx(100 * 5.5 / 6, abs=1)]
    assert guesses.paths == pytest.approx(50, abs=8)
    assert (tmp_path / "results/staircase.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_goes_on_where_it_was_and_repeats_nothing(tmp_path):
    small = ("--cells", "n1", "lm-n3", "--updates", "3")
    study(tmp_path, *small, "--seeds", "1")
    log = tmp_path / "work/runs/lm-n3-1/log"
    before = log.read_bytes()
    study(tmp_path, *small, "--seeds", "1", "2", "--jobs", "2")
    assert log.read_bytes() == before
    table = Table(tmp_path / "results")
    found = [(x.cell, x.seed, x.solved, x.updates) for x in table.runs()]
    assert found == [(cell, seed, None, 3) for cell in ("n1", "lm-n3") for seed in (1, 2)]
    assert [len(x.accuracy) for x in table.runs()] == [1, 1, 3, 3]
    summary = json.loads((tmp_path / "results/summary.json").read_text())
    assert [(x["cell"], x["seeds"], x["solved"]) for x in summary] == [
        ("n1", 2, 0),
        ("lm-n3", 2, 0),
    ]
    heads = {name: lines(tmp_path / "results" / name)[0].split("\t")[0] for name in FILES[:3]}
    assert set(heads.values()) == {"cell"}
    assert sorted(table.curves("lm-n3")) == [1, 2, 3]


def test_enough_tokens_leave_no_room_for_wrong_paths():
    # 6 tokens a path: with 5 % of the paths wrong by one token each, 5 / 6 % of the tokens are.
    assert needed_accuracy(5) == pytest.approx(100 - 5 / 6)


@pytest.mark.parametrize(("name", "ratio"), [("n1", 1), ("n3", 1.73), ("every-2", 1.37)])
def test_an_update_costs_by_count(name, ratio):
    # In units of 2 * 64 * 64 and a token: encoder and decoder layers 4 and 5, K and V 1, the
    # projection 82 / 128; 11 source and 6 target tokens.
    first = 2 * (4 + 1) * 11 + (2 * 5 + 82 / 128) * 6
    further = (2 * 5 + 82 / 128) * 6
    steps = {"n1": 0, "n3": 2, "every-2": 1}[name]
    assert cost(CELLS[name]) == pytest.approx((first + steps * further) / first, rel=0.01)
    assert cost(CELLS[name]) == pytest.approx(ratio, abs=0.02)


@pytest.mark.parametrize("family", ["transformer", "lightconv", "transformer_lm"])
def test_a_family_has_one_architecture_and_no_options_of_another(family):
    words = model_options(replace(CELLS["n3"], family=family))
    assert words[words.index("--arch") + 1] == f"teaforn_{family}"
    assert ("--encoder-layers" in words) == (family != "transformer_lm")
    assert ("--teaforn-prompt-end" in words) == (family == "transformer_lm")
