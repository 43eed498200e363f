"""Broken downloads, archives and disks: a clear error, and a second run finishes."""

import os
import re
import shutil
import signal
import subprocess

import published
import pytest
from commands import ROOT
from recipe_commands import RECIPE, left_over, lines, recipe


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
