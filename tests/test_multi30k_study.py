"""The study of translation on Multi30k: tables, going on, intervals, and what it refuses."""

import json
from statistics import fmean

import pytest
from commands import ROOT, run
from multi30k_commands import SETTINGS, study
from recipe_commands import left_over, lines
from study.rows import read
from translation_study.arms import ARMS, cut
from translation_study.jobs import Place, job_of, prepare, train_command
from translation_study.scores import kept
from translation_study.summary import summary_row
from translation_study.table import Score, Table
from translation_study.trainings import Run

from teaforn_fairseq.beams.statistics import t_interval


@pytest.fixture
def tiny(checksums):
    return {**SETTINGS, "CHECKSUMS": str(checksums)}


def score(arm="b", seed=1, beam=1, **other):
    values = dict.fromkeys(("brevity_penalty", "length_ratio", "sentences_per_second"), 1.0)
    values |= {"pair": "en-de", "set": "valid", "bleu": 30.0, "chrf": 50.0, "updates": 4}
    values |= {"device": "cpu fp32", "seconds": None, "precision": "fp32", "options": "another"}
    return Score(**{**values, "arm": arm, "seed": seed, "beam": beam, **other})


def test_arms_are_trained_translated_and_compared_and_nothing_is_done_twice(
    archives, tiny, tmp_path
):
    # Interrupted after 4 of 6 updates: its checkpoints are there, and no model.
    place = Place(tmp_path / "work", archives, settings=tiny)
    begun = Run(place, "en-de", "b", cut(ARMS["b"], 6), 1)
    prepare(begun.job)
    run(*train_command(begun.job, begun.folder, None), "--max-update", "4")
    common = ("--data", archives, "--updates", "4", "b=6", "--sets", "valid", "--jobs", "2")
    study(tmp_path, *common, "--arms", "a", "b", "--seeds", "1", "2", "--beams", "1", settings=tiny)
    assert "Loaded checkpoint" in (begun.folder / "log").read_text(encoding="utf-8")
    models = {x.stem for x in (tmp_path / "work/models/en-de").glob("*.pt")}
    assert models == {"a-1", "a-2", "b-1", "b-2"}
    left = {f"{x.parent.name}/{x.stem[-1]}" for x in (tmp_path / "work/runs").rglob("*.pt")}
    assert left == {"a-1/4", "a-2/4", "b-1/6", "b-2/6"} and not left_over(tmp_path)
    trained = json.loads(begun.model.with_suffix(".json").read_text())
    assert (trained["updates"], trained["precision"]) == (6, "fp32")

    # Another beam for one of them: one line more, no training.
    logs = {x: x.read_bytes() for x in (tmp_path / "work/runs").rglob("log")}
    more = ("--arms", "b", "--seeds", "2", "--beams", "1", "2", "--stages", "score")
    study(tmp_path, "--updates", "6", "--sets", "valid", *more, settings=tiny)
    assert logs == {x: x.read_bytes() for x in (tmp_path / "work/runs").rglob("log")}
    table = Table(tmp_path / "results")
    found = [(x.beam, x.arm, x.seed, x.updates) for x in table.scores()]
    assert found == [(1, "a", 1, 4), (1, "a", 2, 4), (1, "b", 1, 6), (1, "b", 2, 6), (2, "b", 2, 6)]
    for x in table.scores():
        hypotheses = kept(table.hypotheses("en-de", x.arm, x.seed, "valid", x.beam))
        assert len(hypotheses) == 20 and x.sentences_per_second > 0
    check_summary(table)
    assert (tmp_path / "results/bleu-en-de-valid.png").read_bytes().startswith(b"\x89PNG")


def check_summary(table):
    summary = json.loads((table.folder / "summary.json").read_text())
    assert summary["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert "|ar:10000|seed:" in summary["signatures"]["chrf_p"]
    rows = {(x["beam"], x["arm"]): x for x in summary["rows"]}
    assert sorted(rows) == [(1, "a"), (1, "b"), (2, "b")]
    a, b = ([x for x in table.scores() if (x.arm, x.beam) == (arm, 1)] for arm in "ab")
    differences = [y.chrf - x.chrf for x, y in zip(a, b, strict=True)]
    assert rows[1, "b"]["chrf_difference"] == pytest.approx(fmean(differences), abs=0.006)
    assert rows[1, "b"]["chrf_low"] <= rows[1, "b"]["chrf_difference"] <= rows[1, "b"]["chrf_high"]
    assert rows[1, "a"]["seeds"] == "1 2" and rows[1, "a"]["bleu_difference"] is None
    assert rows[2, "b"]["chrf_sd"] is None and rows[2, "b"]["chrf_p"] == "-"  # no arm a there
    tested = read(table.folder / "significance.tsv")
    assert [(x["arm"], x["seed"], x["beam"]) for x in tested] == [("b", "1", "1"), ("b", "2", "1")]
    heads = lines(table.folder / "summary.tsv")[0].split("\t")
    assert heads == list(summary["rows"][0])


def test_the_summary_compares_with_teacher_forcing_of_both_lengths():
    bleu = {"a": (30.0, 31.0), "b": (30.5, 32.5), "c": (31.0, 31.5)}
    arms = {x: {1: score(x, 1, bleu=y[0]), 2: score(x, 2, bleu=y[1])} for x, y in bleu.items()}
    a, b, c = (summary_row(x, arms, {}) for x in bleu)
    assert (a["bleu_difference"], a["bleu_difference_to_c"]) == (None, -0.75)
    assert (b["bleu_difference"], b["bleu_difference_to_c"]) == (1.0, 0.25)
    assert (c["bleu_difference"], c["bleu_difference_to_c"]) == (0.75, None)
    interval = t_interval([-0.5, 1.0])
    for end in ("low", "high"):
        assert b[f"bleu_{end}_to_c"] == pytest.approx(getattr(interval, end), abs=0.006)
    assert summary_row("b", {"b": arms["b"]}, {})["bleu_low_to_c"] is None


def test_the_arms_differ_by_what_their_names_say(tmp_path):
    place = Place(tmp_path)
    words = {
        x: train_command(job_of(place, "en-de", y, 1), tmp_path, None) for x, y in ARMS.items()
    }
    assert words["c"][:-20] == words["a"][:-20] and "13000" in words["c"] and "8000" in words["a"]
    for name, flag, value in [
        ("a", "--teaforn-n", "1"),
        ("b", "--teaforn-n", "2"),
        ("b", "--teaforn-discount", "0.5"),
        ("n3", "--teaforn-n", "3"),
        ("discount-0.25", "--teaforn-discount", "0.25"),
        ("discount-1", "--teaforn-discount", "1"),
        ("late", "--teaforn-n", "1@0,2@4000"),
        ("fine-tuned", "--teaforn-n", "1@0,2@8000"),
        ("fine-tuned", "--max-update", "10000"),
        ("a-long", "--teaforn-n", "1"),
        ("a-long", "--max-update", "15000"),
        ("b-long", "--teaforn-n", "2"),
        ("b-long", "--max-update", "15000"),
        ("topk", "--teaforn-feedback", "topk"),
        ("scheduled-sampling", "--teaforn-preset", "scheduled-sampling"),
        ("sample-quarter", "--teaforn-sample-positions", "0.25"),
        ("every-4", "--teaforn-every", "4"),
        ("every-4-unscaled", "--teaforn-every", "4"),
        ("every-4-unscaled", "--teaforn-discount", "0.125"),
        ("sample-quarter-unscaled", "--teaforn-sample-positions", "0.25"),
        ("sample-quarter-unscaled", "--teaforn-discount", "0.125"),
        ("b", "--save-interval-updates", "200"),
        ("b", "--keep-interval-updates", "10"),
    ]:
        assert words[name][words[name].index(flag) + 1] == value, name
    assert "--teaforn-normalize" in words["normalized"] and "--teaforn-detach" in words["detach"]
    assert "--teaforn-discount" not in words["scheduled-sampling"]
    assert "--cpu" in words["b"]
    on_gpu = Place(tmp_path, gpu=True, fp16=True)
    there = train_command(job_of(on_gpu, "en-de", ARMS["b"], 1), tmp_path, None)
    assert "--cpu" not in there and "--fp16" in there


def test_runs_of_other_options_or_precision_are_not_mixed(tmp_path):
    table = Table(tmp_path / "results")
    table.add(score())
    options = ("--arms", "b", "--seeds", "2")
    out = study(tmp_path, *options, settings={}, fails=True)
    assert out.endswith(
        f"error: --results: {tmp_path / 'results'} holds runs of en-de b with other options than it"
        " has now. Choose another folder, or take these lines out of scores.tsv and of"
        " significance.tsv.\n"
    )
    table.add(score(arm="a"))
    out = study(tmp_path, "--arms", "a", "--seeds", "2", settings={}, fails=True)
    assert out.endswith("scores.tsv and all of en-de out of significance.tsv.\n")
    assert not (tmp_path / "work").exists()
    with pytest.raises(
        ValueError, match="holds en-de trained in fp32; received a training in fp16"
    ):
        table.check_precision("en-de", "fp16")


def test_a_training_of_other_options_is_not_gone_on_with(tmp_path):
    folder = tmp_path / "work/runs/en-de/a-1"
    folder.mkdir(parents=True)
    then = {"options": "another", "precision": "fp32", "updates": 4}
    (folder / "training.json").write_text(json.dumps(then))
    out = study(tmp_path, "--arms", "a", "--seeds", "1", settings={}, fails=True)
    assert "holds a training of en-de a seed 1 with other options than it has now. Choose" in out


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (("--arms", "z"), {}, "argument --arms: invalid choice: 'z'"),
        (("--pairs", "en-cs"), {}, "argument --pairs: invalid choice"),
        (("--jobs", "0"), {}, "argument --jobs: must be a whole number of at least 1"),
        (("--updates", "x=2"), {}, "error: --updates: must name one of --arms a"),
        (("--arms", "late", "--updates", "4000"), {}, "error: --updates: must be above 4000, from"),
        (("--updates", "2100"), {}, "error: --updates: must be a multiple of SAVE_INTERVAL=200"),
        (("--updates", "400"), {}, "error: AVERAGE=10: 400 updates leave 2 checkpoints"),
        (("--data", "/none"), {}, "error: DATA=/none: no such folder."),
        (("--fp16",), {}, "error: --fp16: needs --device cuda; received cpu."),
        (("--device", "cuda"), {}, "error: --device: cuda needs a GPU and"),
        ((), {"SEED": "3"}, "error: --set: must be settings of the recipe: AVERAGE BATCH "),
        ((), {"LAYERS": "x"}, "error: LAYERS: must be a whole number"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_work(words, settings, message, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert message in study(tmp_path, "--arms", "a", *words, settings=settings, fails=True)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_the_archives_is_refused(tmp_path, archives):
    (tmp_path / "some").mkdir()
    out = study(tmp_path, "--data", tmp_path / "some", settings={"CHECK_DISK": "0"}, fails=True)
    assert f"error: DATA={tmp_path}/some: no " in out


def test_without_scipy_a_study_says_so_before_work(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    code = "import importlib.util as u; find = u.find_spec\n"
    code += "u.find_spec = lambda name, *_: None if name == 'scipy' else find(name, *_)\n"
    (hidden / "sitecustomize.py").write_text(code)
    out = study(
        tmp_path,
        *("--arms", "a"),
        settings={},
        env={"PYTHONPATH": f"{hidden}:{ROOT}"},
        fails=True,
    )
    assert out.endswith(
        "error: --stages score: needs scipy, which is not installed. Install the extra bench: pip"
        ' install --constraint constraints.txt ".[bench]".\n'
    )
