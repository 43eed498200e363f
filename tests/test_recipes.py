"""The recipes: each from download to score on archives of a local web server, what is done is
skipped, a dry run prints it all, and what cannot work is said before work."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import training_log
from commands import ROOT, run
from recipe_commands import RECIPE, SHAPE, STAR, left_over, lines, recipe
from recipes.datasets import NAMES, find

STAGES = ["download", "extract", "clean", "preprocess", "train", "average", "generate", "score"]
DATASETS = set(NAMES)
AVERAGED = {"MAX_UPDATE": "4", "SAVE_INTERVAL": "2", "AVERAGE": "2"}


def scores(out, dataset_run):
    return json.loads((out / dataset_run / "report.json").read_text())


def test_wmt14_en_fr_runs_as_the_dry_run_printed_it(settings, tmp_path):
    env = {**settings, **AVERAGED, "OUT": str(tmp_path / "o o")}
    printed = recipe("--dry-run", "wmt14_en_fr", "--", *SHAPE, env=env)
    assert not list(tmp_path.iterdir())
    out = run("bash", "-euo", "pipefail", "-c", printed, cwd=tmp_path)
    assert "train: 10 pairs from training-giga-fren.tar" in out
    assert "kept 300 of 303 pairs" in out
    report = scores(tmp_path / "o o", "base-n2-seed1")
    assert report["sentences"] == 13 and report["runs"][0]["updates"] == 4
    assert not left_over(tmp_path)


def test_iwslt14_runs_from_download_to_score_in_lower_case(settings, archives, tmp_path):
    del settings["CHECKSUMS"]
    out = recipe("iwslt14_de_en", "--", *SHAPE, env=settings)
    assert "note: nobody has published a check sum of de-en.tgz." in out
    record = (tmp_path / "out/download/de-en.tgz.sha256").read_text()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}  de-en.tgz\n|[0-9a-f]{64}  de-en.tgz\n", record)
    train, valid = (lines(tmp_path / f"out/clean/{x}.en") for x in ("train", "valid"))
    assert len(valid) == (len(train) + len(valid)) // 23
    assert train[0] == "en" and all(text == text.lower() for text in train)
    report = scores(tmp_path / "out", "n2-seed1")
    assert "case:lc" in report["signatures"]["bleu"]
    assert "tokenised lower-case BLEU, sacremoses" in report["signatures"]["tokenised"]
    assert {"bleu", "bleu_tokenised"} < set(report["runs"][0])
    assert re.search("[A-Z]", "".join(lines(tmp_path / "out/raw/test.en")))


def test_cnndm_runs_from_pretrained_bart_to_rouge(settings, tmp_path):
    env = {**settings, "SIZE": "base", "VOCAB": ""}
    out = recipe("cnndm", "--", *SHAPE, "--max-source-positions", 1024, env=env)
    assert "loading pretrained model from" in out
    report = scores(tmp_path / "out", "base-n2-seed1")
    assert report["signatures"]["rouge"].startswith("rouge-score 0.1")
    assert {"rouge1", "rouge2", "rougeL", "rougeLsum"} < set(report["runs"][0])
    assert "R1 beam 1" in out and report["sentences"] == 13
    assert lines(tmp_path / "out/raw/train.src")[0].endswith(" more .")


def test_gigaword_is_prepared_for_bart(settings, tmp_path):
    env = {**settings, "SIZE": "base", "VOCAB": ""}
    recipe("gigaword", *STAGES[:4], env=env)
    assert lines(tmp_path / "out/raw/train.src")[0].startswith("UNK ")
    assert json.loads((tmp_path / "out/data/lengths.json").read_text())["longest"]["test"]


def test_the_quickstart_scores_teacher_forcing_and_teaforn_side_by_side(
    numerals, preprocessed, tmp_path
):
    (tmp_path / "raw").symlink_to(numerals)
    shutil.copytree(preprocessed, tmp_path / "data")
    env = {"VENV": "none", "OUT": str(tmp_path), "MAX_UPDATE": "3", "VOCAB": "120", "BEAMS": "1"}
    env |= {"GPUS": "0", **{f"PATH_STAR_{name}": value for name, value in STAR.items()}}
    out = run(ROOT / "scripts/quickstart.sh", "--lr", "0.01", env=env)
    paths = out[out.index("== path-star graphs, 2 arms of 5 nodes, 9 names, 13 test graphs") :]
    assert re.search(r"^system +updates  exact beam 1  chance  training$", paths, re.MULTILINE)
    assert re.search(r"^teacher forcing +30 .* 50.00 .*\nTeaForN, N = 3 +30 .* 50.00 ", paths, re.M)
    assert (tmp_path / "path_star/path-star.png").read_bytes().startswith(b"\x89PNG\r\n")
    for n, steps in (("1", {1}), ("3", {1, 2, 3})):
        logged = training_log.records(tmp_path / f"path_star/n{n}-seed1/train.log")
        assert training_log.curves(logged, "accuracy").keys() == steps
    table = out[out.index("== numerals and dates, English to German, 13 test sentences") :]
    assert re.search(r"^system +updates  BLEU beam 1 +training$", table, flags=re.MULTILINE)
    assert re.search(r"^teacher forcing +3 .*\nTeaForN, N = 2 +3 ", table, flags=re.MULTILINE)
    assert "TeaForN, N = 2 against teacher forcing: p = " in table
    rows = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert [row["system"] for row in rows] == ["teacher forcing", "TeaForN, N = 2"]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"N": "2"}, "error: N=2: the quickstart trains N=1 and N=2. Leave it out, or run"),
        ({"PATH_STAR_N": "2"}, "error: PATH_STAR_N=2: the quickstart trains N=1 and N=3. Leave"),
        (
            {"PATH_STAR_VOCAB": "9"},
            "error: PATH_STAR_VOCAB=9: the quickstart sets no VOCAB of path_star. Leave it out, or",
        ),
        ({"PATH_STAR_ARMS": "1"}, "error: ARMS: must be at least 2; received '1'."),
        ({"LR": "0"}, "error: LR: must be above 0; received '0'."),
    ],
    ids=str,
)
def test_the_quickstart_refuses_a_setting_of_either_task_before_work(env, message, tmp_path):
    env = {"VENV": "none", "OUT": str(tmp_path / "out"), "GPUS": "0", **env}
    assert run(ROOT / "scripts/quickstart.sh", env=env, fails=True).startswith(message)
    assert not list(tmp_path.iterdir())


def test_multi30k_runs_from_a_local_folder_and_goes_on_with_a_longer_training(
    settings, archives, tmp_path
):
    small = {"LAYERS": "1", "WIDTH": "16", "FFN": "16", "HEADS": "2"}
    env = {**settings, **small, "DATA": str(archives), "MIRROR": ""}
    (tmp_path / "out/data/partial/bin").mkdir(parents=True)  # an interrupted stage preprocess
    recipe("multi30k", *STAGES[:5], env=env)
    assert (tmp_path / "out/raw/train.en").read_bytes() == (
        tmp_path / "out/clean/train.en"
    ).read_bytes()
    out = recipe("multi30k", "train", "--", "--lr", "1", env=env, fails=True)
    assert f"error: {tmp_path}/out/n2-seed1 holds results of other settings." in out
    # The same effective batch in halves: as on another number of GPUs.
    longer = {"MAX_UPDATE": "5", "MAX_TOKENS": "300"}
    second = recipe("multi30k", env={**env, **longer})
    assert not left_over(tmp_path)
    assert "== Multi30k en-de, test_2016_flickr, 13 sentences" in second
    assert "Loaded checkpoint" in second and "x MAX_TOKENS=300 x UPDATE_FREQ=2" in second
    assert scores(tmp_path / "out", "n2-seed1")["runs"][0]["updates"] == 5
    (tmp_path / "out/n2-seed1/trained").unlink()  # as if killed right after the last checkpoint
    third = recipe("multi30k", "train", env={**env, **longer})
    assert "== training" not in third and (tmp_path / "out/n2-seed1/trained").is_file()


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_dry_run_prints_every_command_needs_nothing_and_writes_nothing(dataset, tmp_path):
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "VENV": "/none"}
    env |= {"OUT": str(tmp_path / "o"), "GPUS": "1", "BEAMS": ""}
    out = recipe("--dry-run", dataset, env=env)
    assert (
        re.findall(r"== (\w+): needs up to [\d.]+ GB of disk, [\d.]+ GB of memory", out) == STAGES
    )
    corpora = {x: (f"{x}_corpus.py",) for x in ("numerals", "path_star")}
    commands = corpora.get(dataset, ("curl --fail", "extract.py"))
    commands += ("clean.py", "lengths.py")
    commands += ("cp ",) if dataset == "path_star" else ("subwords.py encode",)
    commands += ("fairseq-preprocess", "fairseq-train", "fairseq-generate", "report.py")
    assert all(command in out for command in commands)
    assert ("teaforn_fairseq.export" in out) == dataset.startswith("wmt14")
    assert out.count("--required-batch-size-multiple 1") == 1 + out.count("fairseq-generate")
    assert out.count("--data-buffer-size 0") == 1  # of the training
    beams = re.findall(r"fairseq-generate .*--beam (\d+)", out)
    expected = {"wmt14": "1248", "gigaw": "148", "cnndm": "148", "numer": "14", "path_": "1"}.get(
        dataset[:5], "15"
    )
    assert "".join(beams) == expected
    assert not list(tmp_path.iterdir())


def test_a_dry_run_needs_the_standard_library_alone(tmp_path):
    engine = [sys.executable, "-S", ROOT / "scripts/recipe.py"]
    env = {"OUT": str(tmp_path / "out"), "GPUS": "1", "PYTHONPATH": ""}
    assert "fairseq-train " in run(*engine, "--dry-run", "wmt14_en_fr", env=env)


def test_a_printed_dry_run_is_shell_that_says_the_same(tmp_path):
    out = recipe("--dry-run", "wmt14_en_fr", "train", env={"OUT": str(tmp_path / "o o"), **NO_GPU})
    line = re.search("^fairseq-train .*", out, flags=re.MULTILINE)[0]
    words = run("bash", "-c", f'fairseq-train() {{ printf "%s\\n" "$@"; }}; {line}').splitlines()
    assert words[0] == f"{tmp_path}/o o/data/bin" and "(0.9, 0.98)" in words


NO_GPU = {"GPUS": "0", "SIZE": "big"}


@pytest.mark.parametrize(
    ("gpus", "update_freq"), [("1", 128), ("8", 16), ("64", 2), ("128", 1), ("0", 128)]
)
def test_the_effective_batch_stays_when_the_number_of_gpus_changes(gpus, update_freq, tmp_path):
    env = {"GPUS": gpus, "SIZE": "big", "OUT": str(tmp_path)}
    out = recipe("--dry-run", "wmt14_en_de", "train", env=env)
    assert "effective batch: at most 458752 tokens an update = " in out
    assert f"--max-tokens 3584 --update-freq {update_freq} --distributed-world-size" in out
    assert ("--cpu" in out) == (gpus == "0") and ("--fp16" in out) == (gpus != "0")


def test_a_given_update_freq_wins_and_is_told(tmp_path):
    env = {"GPUS": "3", "UPDATE_FREQ": "2", "OUT": str(tmp_path)}
    out = recipe("--dry-run", "wmt14_en_de", "train", env=env)
    assert "at most 24576 tokens an update = 3 GPUs x MAX_TOKENS=4096 x UPDATE_FREQ=2" in out


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            {"GPUS": "3"},
            "error: GPUS=3: must divide the 8 batches of MAX_TOKENS=4096 that make up BATCH=32768."
            " These fit: 1 2 4 8. Or set UPDATE_FREQ, which wins.\n",
        ),
        (
            {"MAX_TOKENS": "5000"},
            "error: MAX_TOKENS=5000: must divide the effective batch BATCH=32768, or set"
            " UPDATE_FREQ, which wins.\n",
        ),
        ({"GPUS": "x"}, "error: GPUS: must be a whole number; received 'x'.\n"),
        ({"RATIO": "1:2"}, "error: RATIO: must be a number; received '1:2'.\n"),
        ({"BEAMS": "1,4"}, "error: BEAMS: must be whole numbers; received '1,4'.\n"),
        ({"FP16": "1", "GPUS": "0"}, "error: FP16=1: needs a GPU; received GPUS=0.\n"),
        ({"SIZE": "huge"}, "error: SIZE: must be base or big; received 'huge'.\n"),
        ({"N": "0"}, "error: N: must be a number from 1 on, a schedule or full; received '0'.\n"),
        (
            {"N": "1", "FEEDBACK": "topk"},
            "error: FEEDBACK=topk: does nothing with N=1. Leave it out, or raise N.\n",
        ),
        ({"DATA": "/none"}, "error: DATA=/none: no such folder.\n"),
        (
            {"MAX_UPDATE": "3000"},
            "error: AVERAGE=5: 3000 updates leave 3 checkpoints, one every SAVE_INTERVAL=1000."
            " Average fewer or save more often.\n",
        ),
    ],
    ids=str,
)
def test_a_wrong_setting_is_told_before_work(env, message, tmp_path):
    env = {"OUT": str(tmp_path / "out"), "GPUS": "1", **env}
    assert recipe("wmt14_en_de", env=env, fails=True) == message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: DATASET must be one of: "),
        (("wmt15",), "error: DATASET must be one of: "),
        (("../lib",), "error: DATASET must be one of: "),
        (("cnndm", "trian"), "error: STAGE must be one of: download extract clean"),
        (("cnndm", "--lr", "1"), "error: unknown option --lr. Options of fairseq-train go behind"),
    ],
    ids=str,
)
def test_misuse_goes_to_stderr(words, message):
    done = subprocess.run([RECIPE, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)


def test_help_goes_to_stdout_and_tells_every_setting():
    done = subprocess.run([RECIPE, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ") and not done.stderr
    assert all(name in done.stdout for name in [*DATASETS, *STAGES])
    names = [setting.name for setting in find("multi30k").all_settings()]
    out = recipe("multi30k", "--help", env={"N": "7"})
    assert len(names) > 30 and all(f"  {name}=" in out for name in [*names, "PYTHON"])
    assert "  N=7   unroll steps" in out


@pytest.mark.parametrize(
    ("stage", "missing"),
    [("extract", "download"), ("clean", "raw"), ("preprocess", "clean"), ("train", "data/bin")],
)
def test_a_stage_alone_says_which_one_must_run_first(stage, missing, settings, tmp_path):
    out = recipe("multi30k", stage, env=settings, fails=True)
    assert f"error: {tmp_path}/out/{missing} is not there. Run the stage " in out
