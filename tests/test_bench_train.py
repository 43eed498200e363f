"""bench_train.py: what it runs, writes and refuses. No time is judged here."""

import json
import sys
from dataclasses import replace

import bench_train
import pytest
from bench import corpus, trainings
from bench.corpus import Lengths
from bench.systems import parse_system
from commands import CHECKOUT, ROOT, run

LENGTHS = Lengths(mean=6.0, deviation=2.0, start=1.0, slope=1.0, noise=1.0)
FLAGS = [
    *("--size", "numerals", "--encoder-layers", "1", "--decoder-layers", "1", "--width", "16"),
    *("--ffn", "32", "--heads", "2", "--tokens", "100", "--threads", "1"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A corpus of 50 words as fairseq-preprocess writes it."""
    folder = tmp_path_factory.mktemp("data")
    corpus.write(folder, LENGTHS, pairs=300, vocabulary=50, seed=1)
    return folder


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    """What bench_train.py printed and wrote of whole trainings."""
    path = data / "train.json"
    here = tmp_path_factory.mktemp("here")
    printed = run(
        *("python", ROOT / "scripts/bench_train.py", *FLAGS, "--systems", "n2-sample0.5-every2"),
        *("--data", data, "--rounds", "1", "--updates", "4", "--warm-up", "2", "--json", path),
        cwd=here,
        env=CHECKOUT,
    )
    assert not list(here.iterdir())
    return printed, json.loads(path.read_text())


def refusal(monkeypatch, capsys, *words):
    """The error that bench_train.py gives before any work, in this process."""
    monkeypatch.setattr(sys, "argv", ["bench_train.py", *map(str, words)])
    # Silencing fairseq's log would outlive this test.
    monkeypatch.setattr(bench_train.machine, "quieten", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        bench_train.main()
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


def setup_of(*words):
    return bench_train.setup_of(bench_train.make_parser().parse_args([*FLAGS, *words]))


def test_whole_trainings_are_measured_and_written(measured):
    printed, result = measured
    assert result["benchmark"] == "train" and result["rounds"] == 1
    assert {"command", "machine", "versions", "date", "setup", "batch"} <= result.keys()
    # Of the corpus that was given.
    assert result["setup"]["shape"]["vocabulary"] == 50 and result["setup"]["dropout"] == 0
    stock, ours = result["rows"]
    assert stock["system"] == "stock" and ours["system"] == "n2-sample0.5-every2"
    assert stock["ratios"] == [1] and stock["peak_ratio"] == stock["counted"] == 1
    for row in (stock, ours):
        assert row["updates_per_second"] == pytest.approx(1 / row["seconds"][0])
        assert row["ratios"][0] == pytest.approx(row["seconds"][0] / stock["seconds"][0])
        assert 0 < row["seconds"][0] < 10
    assert 1 < ours["counted"] < 1.5 and ours["packed"] < ours["counted"]
    lines = printed.splitlines()
    assert lines[-3].split()[0] == "system" and "updates/s" in lines[-3]
    assert [line.split()[0] for line in lines[-2:]] == ["stock", "n2-sample0.5-every2"]
    assert "Traceback" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="its pages and PyTorch's size are Linux's")
def test_peak_memory_is_that_of_a_process_with_pytorch(measured):
    for row in measured[1]["rows"]:
        assert 100 < row["peak_mb"] < 4000


@pytest.mark.parametrize("size", trainings.KINDS)
def test_a_made_up_corpus_has_the_lengths_of_the_data_set(tmp_path, size):
    kind = trainings.KINDS[size]
    vocabulary = kind.shape.vocabulary
    corpus.write(tmp_path, kind.lengths, pairs=4000, vocabulary=vocabulary, seed=1)
    made = corpus.read(tmp_path, kind.tokens)
    assert made.vocabulary == vocabulary and made.joined
    means = [getattr(made.real, side) / made.sentences for side in ("source", "target")]
    lengths = kind.lengths
    wanted = [lengths.mean, lengths.start + lengths.slope * lengths.mean]
    assert means == pytest.approx(wanted, rel=0.03)
    for side in ("source", "target"):
        assert getattr(made.real, side) <= getattr(made.padded, side) <= kind.tokens


def test_stock_and_ours_train_alike_but_for_the_plugin(data):
    setup, words = setup_of(), {}
    for name in ("stock", "n3-recompute-plain"):
        system = None if name == "stock" else parse_system(name)
        words[name] = trainings.command(setup, corpus.read(data, 100), system)
    stock, ours = words.values()
    assert "--user-dir" not in stock
    assert not [word for word in stock if word.startswith(("teaforn", "--teaforn"))]
    only_ours = [x for x in ours if x not in stock]
    assert only_ours == [
        *("--user-dir", str(trainings.PLUGIN), "teaforn_transformer"),
        *("teaforn_cross_entropy", "--teaforn-n", "3", "--teaforn-recompute"),
        *("--teaforn-loss-impl", "plain"),
    ]
    assert set(stock) - set(ours) == {"transformer", "label_smoothed_cross_entropy"}
    assert "--cpu" in stock and "--fp16" not in stock


def test_languages_with_dictionaries_of_their_own_share_no_table(data, tmp_path):
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "dict.src.txt").open("a") as file:
        file.write("more 1\n")
    own = corpus.read(tmp_path, 100)
    assert not own.joined and own.vocabulary == 50
    assert "--share-all-embeddings" not in trainings.command(setup_of(), own, None)


def test_a_training_that_fails_is_told_with_what_it_said(data, tmp_path):
    nothing = replace(corpus.read(data, 100), folder=tmp_path)
    with pytest.raises(ValueError, match="of stock ended with 1:\n(.*\n)*.*not infer lang"):
        trainings.train(setup_of(), nothing, None)


def test_a_sentence_longer_than_a_batch_is_refused(data):
    with pytest.raises(ValueError, match="--tokens: must hold the longest sentence, which has"):
        corpus.read(data, 5)


@pytest.mark.parametrize(
    "words, error",
    [
        (["--size", "huge"], "--size: invalid choice: 'huge'"),
        (["--systems", "n1,n2x"], "--systems: each must be nN with any of -recompute"),
        (["--data", "nowhere"], "--data: must be a folder that fairseq-preprocess wrote, with"),
        (["--data", "."], "a training set of two languages; received ."),
        (["--work", "nowhere"], "--work: must be a folder that is there; received nowhere."),
        (["--json", "nowhere/a.json"], "--json: must be a file in a folder that is there"),
        (["--fp16"], "--fp16: needs a GPU; received --device cpu. Add --device cuda."),
        (["--width", "20"], "--width: must be a multiple of --heads; received 20 with 8"),
        (["--dropout", "1"], "--dropout: must be at least 0 and below 1; received 1.0."),
        (["--rounds", "0"], "must be a whole number of at least 1; received 0."),
        (["--updates", "6"], "average; received 6 with n2-every4."),
    ],
    ids=lambda x: "" if isinstance(x, str) else " ".join(x),
)
def test_mistakes_are_refused_before_any_work(monkeypatch, capsys, tmp_path, words, error):
    monkeypatch.chdir(tmp_path)
    assert error in refusal(monkeypatch, capsys, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag, value", [("--vocabulary", "60"), ("--work", ".")])
def test_what_is_for_a_made_up_corpus_is_refused_with_data(monkeypatch, capsys, data, flag, value):
    told = refusal(monkeypatch, capsys, "--data", data, flag, value)
    assert f"{flag}: is for a made-up corpus; received {value} with --data." in told


def test_help_tells_every_default(capsys):
    with pytest.raises(SystemExit):
        bench_train.make_parser().parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for told in ("(default: numerals 2000, multi30k 4096, base 800)", "(default: 40)"):
        assert told in text
