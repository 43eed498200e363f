"""The same text and settings give the same subwords, byte for byte."""

import random
from collections import Counter

import subwords
from commands import ROOT, run


def learn(numerals, model, *options, **kwargs):
    text = [numerals / "train.en", numerals / "train.de"]
    words = ["--input", *text, "--vocab-size", "120", "--model", model, *options]
    run("python", ROOT / "scripts/subwords.py", "learn", *words, **kwargs)
    return model.read_bytes()


def test_a_sample_gives_the_same_model_wherever_and_with_however_many_threads(numerals, tmp_path):
    (tmp_path / "moved").mkdir()
    for path in numerals.iterdir():
        (tmp_path / "moved" / path.name).write_bytes(path.read_bytes())
    first = learn(numerals, tmp_path / "1", "--sentences", "100")
    threads = {"OMP_NUM_THREADS": "7", "PYTHONHASHSEED": "5"}
    assert learn(tmp_path / "moved", tmp_path / "2", "--sentences", "100", env=threads) == first
    assert learn(numerals, tmp_path / "3", "--sentences", "100", "--seed", "2") != first
    assert learn(numerals, tmp_path / "4") == learn(tmp_path / "moved", tmp_path / "5")
    everything = learn(numerals, tmp_path / "6", "--sentences", "1000000")
    assert everything == (tmp_path / "4").read_bytes()


def test_lines_are_drawn_evenly_in_one_pass():
    lines = [str(number) for number in range(10)]
    counts = Counter(
        line for seed in range(2000) for line in subwords.drawn(iter(lines), 3, random.Random(seed))
    )
    assert all(520 <= counts[line] <= 680 for line in lines), counts  # 600 +- 4 deviations
    assert subwords.drawn(lines, 10, random.Random(1)) == lines


def test_a_long_line_is_learned_from_too(tmp_path):
    (tmp_path / "text").write_text("one two three four\n" * 3 + "y" * 5000 + " \u00df\n")
    subwords.learn([tmp_path / "text"], tmp_path / "spm.model", 20)
    subwords.load(tmp_path / "spm.model", None, None)
    processor = subwords.sentencepiece.SentencePieceProcessor(str(tmp_path / "spm.model"))
    assert processor.unk_id() not in processor.encode("\u00df")[1:]
