"""The recipes: each from download to score on archives of a local web server, what is done is
skipped, what broke off is finished by a second run, and what cannot work is said before work."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import published
import pytest
from commands import ROOT, run

RECIPE = ROOT / "scripts/recipe.sh"
STAGES = ["download", "extract", "clean", "preprocess", "train", "average", "generate", "score"]
DATASETS = {path.stem for path in (ROOT / "scripts/datasets").glob("*.sh")}
TINY = {
    **{"GPUS": "0", "MAX_UPDATE": "3", "MAX_TOKENS": "600", "BATCH": "600", "BEAMS": "1"},
    **{"VOCAB": "120", "VENV": sys.prefix, "CHECK_DISK": "0", "LR": "0.01", "WARMUP": "2"},
}
AVERAGED = {"MAX_UPDATE": "4", "SAVE_INTERVAL": "2", "AVERAGE": "2"}
SHAPE = [
    word
    for side in ("encoder", "decoder")
    for name, value in (("layers", 1), ("embed-dim", 16), ("ffn-embed-dim", 16))
    for word in (f"--{side}-{name}", value)
] + ["--encoder-attention-heads", 2, "--decoder-attention-heads", 2]


@pytest.fixture(scope="session")
def archives(numerals, tmp_path_factory):
    """All archives of all recipes in one folder."""
    folder = tmp_path_factory.mktemp("archives")
    corpus = {
        tuple(path.name.split(".")): path.read_text(encoding="utf-8").splitlines()
        for path in numerals.iterdir()
    }
    published.make_wmt14(folder, corpus)
    published.make_iwslt14(folder, corpus)
    published.make_multi30k(folder, corpus)
    published.make_gigaword(folder, corpus)
    published.make_cnndm(folder, corpus)
    published.make_bart(folder)
    return folder


@pytest.fixture(scope="session")
def checksums(archives, tmp_path_factory):
    path = tmp_path_factory.mktemp("checksums") / "sha256"
    published.write_checksums(archives, path)
    return path


@pytest.fixture(scope="session")
def mirror(archives):
    with published.served(archives) as (address, _):
        yield address


@pytest.fixture
def settings(mirror, checksums, tmp_path):
    """The environment of a recipe in this test's own folder."""
    return {**TINY, "MIRROR": mirror, "CHECKSUMS": str(checksums), "OUT": str(tmp_path / "out")}


def recipe(*words, env, **kwargs):
    return run(RECIPE, *words, env=env, **kwargs)


def scores(out, dataset_run):
    return json.loads((out / dataset_run / "report.json").read_text())


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def left_over(folder):
    return [path for path in folder.rglob("*") if "partial" in path.name]


def test_wmt14_en_de_runs_from_download_to_score_and_skips_what_is_done(settings, tmp_path):
    env = {**settings, **AVERAGED, "BEAMS": "1 2"}
    first = recipe("wmt14_en_de", "--", *SHAPE, env=env)
    assert "kept 280 of 283 pairs; dropped: 1 empty, 0 too long, 1 ratio, 1 duplicate" in first
    assert "effective batch: at most 600 tokens an update = 1 CPU process x" in first
    assert re.search(r"base-n2-seed1/average.pt: transformer_wmt_en_de, 2 checkpoints", first)
    assert "is not the archive of sacreBLEU's wmt14/full; scores will not name it." in first
    report = scores(tmp_path / "out", "base-n2-seed1")
    assert report["signatures"]["bleu"].startswith("sacreBLEU nrefs:1|case:mixed|eff:no|tok:13a")
    assert report["sentences"] == 13 and report["runs"][0]["updates"] == 4
    assert set(report["runs"][0]["bleu"]) == {"1", "2"}
    assert not left_over(tmp_path)
    table = first[first.index("== WMT14 en-de, newstest2014, 13 sentences") :]
    assert "BLEU beam 1  BLEU beam 2" in table
    shutil.rmtree(tmp_path / "out/download")  # 6.7 GB that nobody needs any more
    second = recipe("wmt14_en_de", "--", *SHAPE, env={**env, "MIRROR": "http://127.0.0.1:1"})
    assert second.endswith(table)
    assert not re.search("fairseq_cli|pairs read|%", second)


def test_wmt14_en_fr_runs_from_download_to_score(settings, tmp_path):
    out = recipe("wmt14_en_fr", "--", *SHAPE, env={**settings, **AVERAGED})
    assert "train: 10 pairs from training-giga-fren.tar" in out
    assert "kept 300 of 303 pairs" in out
    assert "== WMT14 en-fr, newstest2014, 13 sentences" in out
    assert scores(tmp_path / "out", "base-n2-seed1")["sentences"] == 13


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


@pytest.mark.parametrize("dataset", ["gigaword", "cnndm"])
def test_summarization_runs_from_pretrained_bart_to_rouge(dataset, settings, tmp_path):
    env = {**settings, "SIZE": "base"}
    out = recipe(dataset, "--", *SHAPE, "--max-source-positions", 1024, env=env)
    assert "loading pretrained model from" in out
    report = scores(tmp_path / "out", "base-n2-seed1")
    assert report["signatures"]["rouge"].startswith("rouge-score 0.1")
    assert {"rouge1", "rouge2", "rougeL", "rougeLsum"} < set(report["runs"][0])
    assert "R1 beam 1" in out and report["sentences"] == 13
    source = lines(tmp_path / "out/raw/train.src")[0]
    assert source.startswith("UNK ") if dataset == "gigaword" else source.endswith(" more .")


def test_multi30k_runs_from_a_local_folder_and_goes_on_with_a_longer_training(
    settings, archives, tmp_path
):
    small = {"LAYERS": "1", "WIDTH": "16", "FFN": "16", "HEADS": "2"}
    env = {**settings, **small, "DATA": str(archives), "MIRROR": ""}
    (tmp_path / "out/data/partial/bin").mkdir(parents=True)  # an interrupted stage preprocess
    first = recipe("multi30k", env=env)
    assert "== Multi30k en-de, test_2016_flickr, 13 sentences" in first
    assert (tmp_path / "out/raw/train.en").read_bytes() == (
        tmp_path / "out/clean/train.en"
    ).read_bytes()
    out = recipe("multi30k", "train", "--", "--lr", "1", env=env, fails=True)
    assert f"error: {tmp_path}/out/n2-seed1 holds results of other settings." in out
    # The same effective batch in halves: as on another number of GPUs.
    longer = {"MAX_UPDATE": "5", "MAX_TOKENS": "300"}
    second = recipe("multi30k", env={**env, **longer})
    assert not left_over(tmp_path)
    assert "Loaded checkpoint" in second and "x MAX_TOKENS=300 x UPDATE_FREQ=2" in second
    assert scores(tmp_path / "out", "n2-seed1")["runs"][0]["updates"] == 5
    (tmp_path / "out/n2-seed1/trained").unlink()  # as if killed right after the last checkpoint
    third = recipe("multi30k", "train", env={**env, **longer})
    assert "== training" not in third and (tmp_path / "out/n2-seed1/trained").is_file()


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_dry_run_prints_every_command_needs_nothing_and_writes_nothing(dataset, tmp_path):
    env = {"PATH": "/usr/bin:/bin", "PYTHON": "/none", "VENV": "/none", "OUT": str(tmp_path / "o")}
    out = recipe("--dry-run", dataset, env={**env, "GPUS": "1", "BEAMS": ""})
    assert (
        re.findall(r"== (\w+): needs up to [\d.]+ GB of disk, [\d.]+ GB of memory", out) == STAGES
    )
    commands = ("curl --fail", "extract.py text", "clean.py", "subwords.py encode")
    commands += ("fairseq-preprocess", "fairseq-train", "fairseq-generate", "report.py")
    assert all(command in out for command in commands)
    assert ("teaforn_fairseq.export" in out) == dataset.startswith("wmt14")
    assert out.count("--required-batch-size-multiple 1") == 1 + out.count("fairseq-generate")
    beams = re.findall(r"fairseq-generate .*--beam (\d+)", out)
    expected = {"wmt14": "1248", "gigaw": "148", "cnndm": "148"}.get(dataset[:5], "15")
    assert "".join(beams) == expected
    assert not list(tmp_path.iterdir())


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
        ({"BEAMS": "1,4"}, "error: BEAMS: must be whole numbers; received '1,4'.\n"),
        ({"FP16": "1", "GPUS": "0"}, "error: FP16=1: needs a GPU; received GPUS=0.\n"),
        ({"SIZE": "huge"}, "error: SIZE must be base or big; received 'huge'.\n"),
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
    scripts = [ROOT / "scripts/settings.sh", ROOT / "scripts/datasets/multi30k.sh"]
    text = "".join(path.read_text() for path in scripts)
    names = re.findall(r"^ *setting ([A-Z0-9_]+) ", text, flags=re.MULTILINE)
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


@pytest.fixture
def broken(archives, tmp_path):
    """A mirror of its own, whose files a test may spoil: folder, address, what it was asked."""
    folder = tmp_path / "mirror"
    shutil.copytree(archives, folder)
    with published.served(folder) as (address, mirror):
        yield folder, address, mirror


def fetch(settings, address, *, dataset="multi30k", stages=("download", "extract"), **kwargs):
    return recipe(dataset, *stages, env={**settings, "MIRROR": address}, **kwargs)


def test_an_interrupted_download_goes_on_where_it_stopped(settings, broken, tmp_path):
    _, address, mirror = broken
    mirror.cut["train.de.gz"] = 100
    out = fetch(settings, address, fails=True)
    assert re.search(
        r"error: could not download http\S+/train.de.gz \(curl: 18, HTTP: 200\). Run again: it goes"
        " on where it stopped.",
        out,
    )
    assert not (tmp_path / "out/download/train.de.gz").exists()
    fetch(settings, address)
    assert [start for name, start in mirror.asked if name == "train.de.gz"] == [0, 100]
    assert len(lines(tmp_path / "out/raw/train.de")) == 300
    assert not left_over(tmp_path / "out")


def test_a_killed_run_is_finished_by_the_next(settings, broken, tmp_path):
    _, address, mirror = broken
    mirror.cut["train.de.gz"] = 100
    mirror.go_on.clear()
    env = {**os.environ, **settings, "MIRROR": address}
    command = [RECIPE, "multi30k", "download", "extract", "clean"]
    process = subprocess.Popen(command, env=env, start_new_session=True)
    assert mirror.reached.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    mirror.go_on.set()
    for name in ("raw.partial", "clean.partial"):  # as later stages leave them
        (tmp_path / "out" / name).mkdir()
        (tmp_path / "out" / name / "train.de").write_text("half a li")
    fetch(settings, address, stages=["download", "extract", "clean"])
    assert len(lines(tmp_path / "out/clean/train.de")) == 300
    assert not left_over(tmp_path / "out")


@pytest.mark.parametrize("ranges", [True, False], ids=["nothing after it", "no ranges"])
def test_a_download_starts_over_where_the_server_cannot_go_on(settings, broken, tmp_path, ranges):
    folder, address, mirror = broken
    mirror.ranges = ranges
    partial = tmp_path / "out/download/de-en.tgz.partial"
    partial.parent.mkdir(parents=True)
    whole = (folder / "de-en.tgz").read_bytes()
    partial.write_bytes(whole + b"junk" if ranges else whole[:50])
    fetch(settings, address, dataset="iwslt14_de_en", stages=["download"])
    assert (tmp_path / "out/download/de-en.tgz").read_bytes() == whole


def test_a_wrong_check_sum_is_refused_and_a_second_run_finishes(settings, broken, tmp_path):
    folder, address, _ = broken
    whole = (folder / "val.en.gz").read_bytes()
    (folder / "val.en.gz").write_bytes(whole + b"x")
    out = fetch(settings, address, fails=True)
    assert "error: val.en.gz: is not the published file or only a part of it: check sum" in out
    assert out.endswith("error: val.en.gz is removed. Run again: it is fetched anew.\n")
    (folder / "val.en.gz").write_bytes(whole)
    fetch(settings, address)
    assert (tmp_path / "out/raw/valid.en").exists()


def test_the_published_sums_count_without_checksums(settings, mirror):
    del settings["CHECKSUMS"]
    out = fetch(settings, mirror, stages=["download"], fails=True)
    assert re.search(r"error: test_2016_flickr.de.gz: must have 22890 bytes; received \d+.", out)


def test_a_truncated_archive_without_published_sum_is_refused(settings, broken, tmp_path):
    del settings["CHECKSUMS"]
    folder, address, _ = broken
    whole = (folder / "de-en.tgz").read_bytes()
    (folder / "de-en.tgz").write_bytes(whole[: len(whole) // 2])
    out = fetch(settings, address, dataset="iwslt14_de_en", fails=True)
    assert re.search(r"error: \S+/de-en.tgz.partial: is damaged or incomplete \(", out)
    (folder / "de-en.tgz").write_bytes(whole)
    fetch(settings, address, dataset="iwslt14_de_en")
    assert (tmp_path / "out/raw/test.en").exists()
    shutil.rmtree(tmp_path / "out/raw")
    (tmp_path / "out/download/de-en.tgz").unlink()
    published.write_tar(folder / "de-en.tgz", {"de-en/x": "another one"})
    out = fetch(settings, address, dataset="iwslt14_de_en", fails=True)
    assert "error: de-en.tgz: differs from the one fetched first, whose sum is in " in out


def test_an_archive_without_an_expected_file_is_refused(settings, broken, tmp_path):
    folder, address, _ = broken
    whole = (folder / "de-en.tgz").read_bytes()
    published.write_tar(folder / "de-en.tgz", {"de-en/README": "nothing else"})
    published.write_checksums(folder, tmp_path / "sums")
    settings["CHECKSUMS"] = str(tmp_path / "sums")
    out = fetch(settings, address, dataset="iwslt14_de_en", fails=True)
    assert out.endswith("must hold the file de-en/train.tags.de-en.de, which is not there.\n")
    assert not (tmp_path / "out/raw").exists()
    (tmp_path / "out/download/de-en.tgz").write_bytes(whole)
    fetch(settings, address, dataset="iwslt14_de_en")  # over what the first run left in raw.partial
    assert len(lines(tmp_path / "out/raw/test.en")) == 13


def test_sides_of_unequal_length_are_refused(settings, broken, tmp_path):
    folder, address, _ = broken
    published.write_tar(folder / "x.tgz", {"x": "y"})
    (folder / "val.de.gz").write_bytes(published.gzip.compress(b"ein Satz\n"))
    published.write_checksums(folder, tmp_path / "sums")
    settings["CHECKSUMS"] = str(tmp_path / "sums")
    out = fetch(settings, address, fails=True)
    assert "has 20 lines in en and 1 in de. They must be equally many, at least one." in out


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no val.de.gz there."),
        (
            lambda path: path.write_bytes(path.read_bytes()[:60]),
            "is damaged or incomplete. Fetch it",
        ),
    ],
    ids=["missing", "half"],
)
def test_a_bad_local_folder_is_refused(settings, broken, tmp_path, damage, message):
    folder, _, _ = broken
    damage(folder / "val.de.gz")
    out = recipe("multi30k", "download", env={**settings, "DATA": str(folder)}, fails=True)
    assert message in out and not (tmp_path / "out/raw").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk):
    """Leave one block of 4 KB on it."""
    (disk / "ballast").write_bytes(b"")
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - 4096))


def test_a_full_disk_is_told_and_a_second_run_finishes(settings, archives, mirror, small_disk):
    settings["OUT"] = str(small_disk / "out")
    told = {
        "download": "is the disk full? Free some space and run again: it goes on where it stopped"
    }
    for stage in ("download", "extract", "clean"):
        fill(small_disk)
        out = fetch(settings, mirror, stages=[stage], fails=True)
        assert told.get(stage, "error: [Errno 28] No space left on device") in out
        (small_disk / "ballast").unlink()
        fetch(settings, mirror, stages=[stage])
    for path in (small_disk / "out/download").iterdir():
        assert path.read_bytes() == (archives / path.name).read_bytes()
    assert len(lines(small_disk / "out/clean/train.de")) == 300
    assert not left_over(small_disk)


def test_too_small_a_disk_is_told_before_work(settings, small_disk):
    settings |= {"OUT": str(small_disk / "out"), "CHECK_DISK": "1", "MAX_UPDATE": ""}
    out = recipe("wmt14_en_fr", env=settings, fails=True)
    assert out.endswith(
        f"error: OUT={small_disk}/out: the stage download needs 6.7 GB of disk; free are 0.0 GB."
        " Free some, choose another OUT, or set CHECK_DISK=0 to go on all the same.\n"
    )
    assert not list(small_disk.iterdir())


SHARED = ROOT.parent / "shared/data/multi30k"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs Multi30k's published files")
def test_multi30k_takes_the_published_files(settings, tmp_path):
    env = {**settings, "CHECKSUMS": "", "MIRROR": SHARED.as_uri(), "TGT": "fr"}
    recipe("multi30k", "download", "extract", env=env)
    counts = {
        path.name: path.read_bytes().count(b"\n") for path in (tmp_path / "out/raw").iterdir()
    }
    expected = {"train": 29_000, "valid": 1_014, "test": 1_000}
    assert counts == {f"{s}.{lang}": n for s, n in expected.items() for lang in ("en", "fr")}
