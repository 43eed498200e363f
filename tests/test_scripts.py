"""The small scripts: what they write and what they refuse. The recipes have test_recipes.py."""

import json
import os
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from commands import BIN, ROOT, run
from packaging.specifiers import SpecifierSet


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


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh"])
def test_help_tells_every_setting(script):
    out = run(ROOT / "scripts" / script, "--help")
    assert out.startswith("Usage: ")
    settings = {
        "quickstart.sh": ["OUT", "SEED", "VOCAB", "MAX_UPDATE", "MAX_TOKENS", "PATH_STAR_SEED"]
    }
    settings = [*settings.get(script, ["OMP_NUM_THREADS"]), "PYTHON", "VENV"]
    assert all(f"{setting}=" in out for setting in settings)


def test_the_matrix_prints_the_commands_of_a_cell_and_refuses_what_is_none(tmp_path):
    place = {"OUT": str(tmp_path / "out"), "TABLE": str(tmp_path / "table.md")}
    script = ROOT / "scripts/matrix.sh"
    out = run(script, "--dry-run", "3.12/fairseq-fixed/2.4", env=place)
    wanted = ("python3.12 -m venv", "torch==2.4.", "fairseq-fixed", "pytest")
    assert all(word in out for word in wanted)
    for cell in ("3.10/ve-fairseq/2.4", "3.13/ve-fairseq/2.13", "3.14/newest", "3.12/newest/2.4"):
        out = run(script, "--dry-run", cell, env=place, fails=True)
        assert out.startswith("error: CELL: ") and out.endswith(f"; received {cell}.\n")
    assert not list(tmp_path.iterdir())


def test_a_workflow_runs_the_newest_of_everything_every_week(tmp_path):
    workflow = yaml.safe_load((ROOT / ".github/workflows/newest.yml").read_text())
    (schedule,) = workflow[True]["schedule"]  # YAML reads the key "on" so
    assert schedule["cron"].split()[2:] == ["*", "*", "1"]
    job = workflow["jobs"]["newest"]
    (command,) = [x["run"] for x in job["steps"] if "matrix.sh" in x.get("run", "")]
    place = {"OUT": str(tmp_path / "out"), "TABLE": str(tmp_path / "table.md")}
    for python in job["strategy"]["matrix"]["python"]:
        cell = command.replace("${{ matrix.python }}", python)
        script, *words = cell.split()
        out = run(ROOT / script, "--dry-run", *words, env=place)
        assert "PIP_CONSTRAINT=/dev/null" in out and "--constraint" not in out
        assert f"python{python} -m venv" in out and "==" not in out.replace("== ", "")


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


def test_subwords_refuse_a_model_that_was_cut_off(tmp_path):
    (tmp_path / "spm.model").write_bytes(b"\n\x0e\n\x05<unk>")
    (tmp_path / "text").write_text("one two\n")
    out = run(
        *("python", ROOT / "scripts/subwords.py", "encode", "--model", tmp_path / "spm.model"),
        *("--input", tmp_path / "text", "--out", tmp_path / "out"),
        fails=True,
    )
    assert out.startswith("error: the model cannot be read: ")


def write_run(folder, hypotheses):
    """A finished run as report.py reads it."""
    folder.mkdir()
    printed = "".join(f"D-{i}\t-0.1\t{line}\n" for i, line in enumerate(hypotheses))
    (folder / "beam4.txt").write_text(printed)
    state = {}, {"previous_training_time": 1.0}, [{"num_updates": 2}]
    names = "model", "extra_state", "optimizer_history"
    torch.save(dict(zip(names, state, strict=True)), folder / "checkpoint_last.pt")
    (folder / "plain.txt").write_text("\n".join(hypotheses) + "\n")


def test_report_gives_the_significance_that_sacrebleu_gives(tmp_path):
    reference = [f"{i} days after the {i}th of May, at {i % 12} o'clock" for i in range(1, 41)]
    first = [line.replace("after", "behind") if i % 3 else line for i, line in enumerate(reference)]
    second = [line.replace("of", "in") if i % 2 else line for i, line in enumerate(reference)]
    (tmp_path / "reference").write_text("\n".join(reference) + "\n")
    for name, hypotheses in (("a", first), ("b", second)):
        write_run(tmp_path / name, hypotheses)
    out = run(
        *("python", ROOT / "scripts/report.py", "--reference", tmp_path / "reference"),
        *("--beams", "4", "--json", tmp_path / "report.json"),
        *("--run", "first", tmp_path / "a", "--run", "second", tmp_path / "b"),
    )
    plain = [tmp_path / name / "plain.txt" for name in "ab"]
    wanted = run(
        *("sacrebleu", tmp_path / "reference", "--input", *plain),
        *("--paired-bs", "--format", "json", "--quiet"),
    )
    p = json.loads(wanted[wanted.index("[\n") :])[1]["BLEU"]["p_value"]
    assert 0 < p < 1
    assert f"second against first: p = {p:.3f} (beam 4), paired bootstrap" in out
    assert "sacrebleu:" not in out  # its log
    rows = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert rows[1]["p_value"] == {"4": round(p, 4)} and "p_value" not in rows[0]


def test_report_puts_chance_beside_exact_matches_and_beside_nothing_else(tmp_path):
    (tmp_path / "reference").write_text("4 7 1\n4 2 3\n4 1 7\n")
    write_run(tmp_path / "a", ["4 7 1", "4 7 1", "4 1 7"])
    write_run(tmp_path / "b", ["4 7 1", "4 2", "4 1"])
    words = ["python", ROOT / "scripts/report.py", "--reference", tmp_path / "reference"]
    words += ["--beams", "4", "--run", "first", tmp_path / "a", "--run", "second", tmp_path / "b"]
    exact = ("--metrics", "exact", "--json", tmp_path / "report.json")
    out = run(*words, *exact, "--chance", "50")
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["system", "updates", "exact", "beam", "4", "chance", "training"],
        ["first", "2", "66.67", "50.00", "1", "s"],
        ["second", "2", "33.33", "50.00", "1", "s"],
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["chance"] == 50 and report["runs"][0]["exact"] == {"4": 66.67}
    assert "chance" not in run(*words, *exact)
    for options in (["--chance", "50"], [*exact, "--chance", "101"]):
        told = "error: --chance: must be from 0 to 100, and goes with --metrics exact; received"
        assert told in run(*words, *options, fails=True)


@pytest.mark.parametrize(
    "script",
    [["quickstart.sh"], ["test.sh"], ["recipe.sh", "multi30k"]],
    ids=lambda x: x[0],
)
@pytest.mark.parametrize("version", ["3.10.9", "3.14.0"])
@pytest.mark.parametrize("venv", ["venv", "none"])
def test_an_unsupported_python_is_refused(tmp_path, script, version, venv):
    python = python_of_version(tmp_path, version)
    venv = str(tmp_path / venv) if venv != "none" else venv
    env = {"PYTHON": str(python), "VENV": venv, "OUT": str(tmp_path / "out")}
    out = run(ROOT / "scripts" / script[0], *script[1:], env=env, fails=True)
    assert out == (
        "error: Python 3.11, 3.12 or 3.13 is needed (fairseq itself fails on 3.14); received"
        f" {python}: Python {version}. Install one of them and set PYTHON=/path/to/python3.12.\n"
    )
    assert os.listdir(tmp_path) == ["python"]


@pytest.mark.parametrize("version", ["3.11.0", "3.12.1", "3.13.9"])
def test_the_supported_pythons_are_those_of_the_package(tmp_path, version):
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version in SpecifierSet(package["requires-python"])
    minor = version.rpartition(".")[0]
    assert f"Programming Language :: Python :: {minor}" in package["classifiers"]
    python = python_of_version(tmp_path, version)
    find = f". {shlex.quote(str(ROOT))}/scripts/lib.sh; find_python"
    assert run("bash", "-euc", find, env={"PYTHON": str(python)}) == f"{python}\n"


def python_of_version(folder, version):
    """This Python, which says that it is another."""
    python = folder / "python"
    told = f"import sys; sys.version_info = {tuple(map(int, version.split('.')))}"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit\n'
        f'exec {sys.executable} -c "{told}; $2"\n'
    )
    python.chmod(0o755)
    return python


def test_scripts_and_code_pass_the_linters():
    scripts = [*Path(ROOT, "scripts").rglob("*.sh"), ROOT / ".ci/run"]
    run("shellcheck", "--external-sources", "--source-path", ROOT / "scripts", *scripts)
    run("ruff", "check", ROOT)
    run("ruff", "format", "--check", ROOT)


def test_the_types_of_the_plugin_hold():
    if not shutil.which("pyright", path=str(BIN)):
        pytest.skip('needs the extra "dev", which brings pyright')
    run("pyright", cwd=ROOT)
