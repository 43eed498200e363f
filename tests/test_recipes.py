"""The recipes: each from download to score on archives of a local web server, what is done is
skipped, what broke off is finished by a second run, and what cannot work is said before work."""

import json
import re
import shutil
import subprocess
import sys

import published
import pytest
from commands import BIN, CHECKOUT, ROOT, run

RECIPE = ROOT / "scripts/recipe.sh"
ENGINE = "download extract clean preprocess train average generate score".split()
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
    assert "effective batch: at most 600 target tokens an update = 1 CPU process x" in first
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
