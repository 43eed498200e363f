"""The recipes: what they write, that they can be run twice, and what they refuse."""

import gzip
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from commands import ROOT, run

MULTI30K = ROOT / "scripts/multi30k.sh"
SHARED = ROOT.parent / "shared/data/multi30k"
PUBLISHED = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
SMALL = {
    **{"LAYERS": "1", "WIDTH": "16", "FFN": "16", "HEADS": "2", "VOCAB": "120", "BEAMS": "1 2"},
    **{"MAX_UPDATE": "3", "MAX_TOKENS": "600", "VENV": sys.prefix},
}


@pytest.fixture(scope="session")
def corpus(numerals, tmp_path_factory):
    """Numerals and dates under the names of Multi30k's files."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, name in PUBLISHED.items():
        for language in ("en", "de"):
            text = (numerals / f"{split}.{language}").read_bytes()
            (folder / f"{name}.{language}.gz").write_bytes(gzip.compress(text))
    return folder


def write_numerals(out, *options, **kwargs):
    return run("python", ROOT / "scripts/numerals_corpus.py", "--out", out, *options, **kwargs)


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_numerals_are_deterministic_many_and_in_one_split_each(tmp_path):
    for out in ("a", "b"):
        write_numerals(tmp_path / out)
    pairs = {}
    for split in ("train", "valid", "test"):
        for language in ("en", "de"):
            name = f"{split}.{language}"
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        sides = [lines(tmp_path / "a" / f"{split}.{language}") for language in ("en", "de")]
        pairs[split] = list(zip(*sides, strict=True))
    every = sum(pairs.values(), [])
    assert len(pairs["train"]) >= 20_000
    assert len(set(every)) == len(every)
    assert ("twenty-three", "dreiundzwanzig") in every


def test_another_seed_gives_other_numerals(tmp_path):
    sizes = ("--train", "9", "--valid", "9", "--test", "9")
    for seed in ("1", "2"):
        write_numerals(tmp_path / seed, *sizes, "--seed", seed)
    assert lines(tmp_path / "1/train.en") != lines(tmp_path / "2/train.en")


def test_numerals_refuse_an_empty_split(tmp_path):
    out = write_numerals(tmp_path / "raw", "--test", "0", fails=True)
    assert out == "error: --train, --valid, --test: must be at least 1; received 22000, 500, 0\n"
    assert not (tmp_path / "raw").exists()


def test_subwords_refuse_a_vocabulary_the_text_cannot_fill(tmp_path):
    (tmp_path / "text").write_text("one two\n")
    out = run(
        *("python", ROOT / "scripts/subwords.py", "learn", "--input", tmp_path / "text"),
        *("--vocab-size", "9000", "--model", tmp_path / "spm.model"),
        fails=True,
    )
    assert "error: --vocab-size: cannot learn 9000 subwords" in out
    assert not (tmp_path / "spm.model").exists()


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh", "multi30k.sh"])
def test_help_tells_every_setting(script):
    text = (ROOT / "scripts" / script).read_text()
    out = run(ROOT / "scripts" / script, "--help")
    assert out.startswith("Usage: ")
    settings = re.findall(r"^(\w+)=\$\{\1:-", text, flags=re.MULTILINE) + ["PYTHON", "VENV"]
    assert all(f"{setting}=" in out for setting in settings)


def test_the_matrix_prints_the_commands_of_a_cell_and_refuses_what_is_none(tmp_path):
    place = {"OUT": str(tmp_path / "out"), "TABLE": str(tmp_path / "table.md")}
    script = ROOT / "scripts/matrix.sh"
    out = run(script, "--dry-run", "3.12/fairseq-fixed/2.4", env=place)
    wanted = ("python3.12 -m venv", "torch==2.4.", "fairseq-fixed", "pytest")
    assert all(word in out for word in wanted)
    assert "error: CELL: " in run(script, "3.10/ve-fairseq/2.4", env=place, fails=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="session")
def finished(corpus, tmp_path_factory):
    """A whole run of the recipe: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("multi30k")
    return folder, run(MULTI30K, "en", "de", env=settings(corpus, folder))


def settings(corpus, out):
    return {**SMALL, "DATA": str(corpus), "OUT": str(out)}


def test_multi30k_runs_from_raw_text_to_score_and_skips_what_is_done(corpus, finished):
    folder, first = finished
    table = first[first.index("== Multi30k en-de, test_2016_flickr, 13 sentences") :]
    assert "BLEU beam 1  BLEU beam 2" in table
    assert "sacreBLEU nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in table
    report = json.loads((folder / "n2-seed1/report.json").read_text())
    assert (report["sentences"], report["runs"][0]["updates"]) == (13, 3)
    second = run(MULTI30K, "en", "de", env=settings(corpus, folder))
    assert second.strip() == table.strip()
    assert not list(folder.rglob("*partial*"))


def test_multi30k_refuses_to_mix_settings_in_one_folder(corpus, finished):
    folder, _ = finished
    out = run(MULTI30K, "en", "de", "--lr", "1", env=settings(corpus, folder), fails=True)
    assert f"error: {folder}/n2-seed1 holds results of other settings." in out


def test_multi30k_goes_on_with_a_training_that_was_cut_short(corpus, finished, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(finished[0], folder)
    out = run(MULTI30K, "en", "de", env={**settings(corpus, folder), "MAX_UPDATE": "5"})
    assert "Loaded checkpoint" in out
    report = json.loads((folder / "n2-seed1/report.json").read_text())
    assert report["runs"][0]["updates"] == 5


def test_report_refuses_missing_hypotheses(tmp_path):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (tmp_path / "reference").write_text("one\ntwo\n")
    (run_folder / "beam1.txt").write_text("D-0\t-0.1\tone\n")
    out = run(
        *("python", ROOT / "scripts/report.py", "--reference", tmp_path / "reference"),
        *("--beams", "1", "--json", tmp_path / "report.json", "--run", "system", run_folder),
        fails=True,
    )
    assert f"error: {run_folder}/beam1.txt: 1 hypotheses for 2 references." in out
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "val.de.gz").unlink(), "no val.de.gz there."),
        (
            lambda folder: os.truncate(folder / "val.de.gz", 60),
            "val.de.gz is damaged or incomplete. Fetch it again.",
        ),
        (
            lambda folder: (folder / "val.de.gz").write_bytes(gzip.compress(b"ein Satz\n")),
            "val has 20 lines in en and 1 in de. They must be equally many, at least one.",
        ),
    ],
    ids=["missing", "half", "unequal"],
)
def test_multi30k_refuses_a_bad_corpus_before_any_work(corpus, tmp_path, damage, message):
    folder = tmp_path / "data"
    shutil.copytree(corpus, folder)
    damage(folder)
    out = run(MULTI30K, "en", "de", env=settings(folder, tmp_path / "out"), fails=True)
    assert out.strip().endswith(message)
    assert not (tmp_path / "out").exists()


def test_multi30k_refuses_a_download_that_is_not_the_published_file(corpus, tmp_path):
    env = {**SMALL, "MIRROR": corpus.as_uri(), "OUT": str(tmp_path)}
    out = run(MULTI30K, "en", "de", env=env, fails=True)
    assert "train.en.gz is not the published file or only a part of it." in out
    assert not (tmp_path / "download/train.en.gz").exists()


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs Multi30k in {SHARED}")
def test_multi30k_downloads_the_published_files(tmp_path):
    # No vocabulary of one subword can be learned: this ends the run after the corpus stage.
    env = {**SMALL, "MIRROR": SHARED.as_uri(), "OUT": str(tmp_path), "VOCAB": "1"}
    out = run(MULTI30K, "en", "fr", env=env, fails=True)
    assert "error: --vocab-size: cannot learn 1 subwords" in out
    counts = {
        path.name: len(path.read_bytes().split(b"\n")) - 1 for path in (tmp_path / "raw").iterdir()
    }
    expected = {"train": 29_000, "valid": 1_014, "test": 1_000}
    assert counts == {f"{s}.{lang}": n for s, n in expected.items() for lang in ("en", "fr")}


@pytest.mark.parametrize("pair", [(), ("en",), ("en", "en"), ("en", "xx")])
def test_multi30k_refuses_unknown_languages(pair):
    out = run(MULTI30K, *pair, fails=True)
    assert out.startswith("error: SRC and TGT must be two of en, de, fr; received ")


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh"])
def test_an_unsupported_python_is_refused(tmp_path, script):
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit\nexit 1\n')
    old.chmod(0o755)
    env = {"PYTHON": str(old), "VENV": str(tmp_path / "venv"), "OUT": str(tmp_path / "out")}
    out = run(ROOT / "scripts" / script, env=env, fails=True)
    assert out == (
        f"error: Python 3.11 or 3.12 is needed; received {old}: Python 3.9.1. Install one of them"
        " and set PYTHON=/path/to/python3.11.\n"
    )
    assert os.listdir(tmp_path) == ["python"]


def test_scripts_and_code_pass_the_linters():
    scripts = [*Path(ROOT, "scripts").glob("*.sh"), ROOT / ".ci/run"]
    run("shellcheck", "--external-sources", "--source-path", ROOT / "scripts", *scripts)
    run("ruff", "check", ROOT)
    run("ruff", "format", "--check", ROOT)
