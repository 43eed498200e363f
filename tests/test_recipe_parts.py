"""What the recipes are made of, on lines one can check by hand: cleaning, reading, scoring."""

from collections import Counter

import archives
import clean
import numpy as np
import published
import pytest
import stories
from commands import ROOT, run
from metrics import Exact, Rouge, SacreBLEU, TokenisedBLEU
from recipes.datasets import _wmt14
from sacrebleu import DATASETS
from sacrebleu.dataset.fake_sgml import FakeSGMLDataset

from teaforn_fairseq.beams.metrics import sentences


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a b", "c d", None),
        ("", "c", "empty"),
        ("a", "", "empty"),
        ("a b c", "d e f", None),
        ("a b c d", "e f g", "too long"),
        ("abcd", "ab", None),
        ("abcde", "ab", "ratio"),
        ("ab", "abcde", "ratio"),
    ],
)
def test_fault_of_a_pair(source, target, expected):
    assert clean.fault(source, target, clean.Limits(max_words=3, ratio=2)) == expected


def test_zero_switches_a_limit_off():
    assert clean.fault("a " * 1000, "b", clean.Limits()) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([7, 7, 8, 7], [1, 0, 1, 0]), ([2**64 - 1, 0, 2**64 - 1], [1, 1, 0])],
)
def test_first_occurrences(values, expected):
    first = clean.first_occurrences(np.array(values, dtype=np.uint64))
    assert first.astype(int).tolist() == expected


LINES = {
    "en": ["one two", "one  two", "", "odd\rline\u2028here", "One two", "a"],
    "de": ["eins zwei", "eins zwei ", "leer", "komische Zeile hier", "eins zwei", "x" * 9],
}


@pytest.fixture
def raw(tmp_path):
    for split in ("train", "valid", "test"):
        for language, lines in LINES.items():
            text = "".join(f"{line}\n" for line in lines)
            (tmp_path / f"{split}.{language}").write_bytes(text.encode())
    return tmp_path


def cleaned(raw, *options):
    words = ["--raw", raw, "--out", raw / "out", "--languages", "en", "de", *options]
    told = run("python", ROOT / "scripts/clean.py", *words)
    read = {
        path.name: path.read_bytes().decode().split("\n")[:-1] for path in (raw / "out").iterdir()
    }
    return told, read


def test_cleaning_keeps_the_first_of_equal_pairs_and_counts_the_others(raw):
    told, read = cleaned(raw, "--ratio", "3", "--dedupe")
    assert read["train.en"] == ["one two", "odd line here", "One two"]
    assert read["train.de"] == ["eins zwei", "komische Zeile hier", "eins zwei"]
    assert told == "kept 3 of 6 pairs; dropped: 1 empty, 0 too long, 1 ratio, 1 duplicate\n"
    assert len(read["test.en"]) == len(read["valid.en"]) == 6


def test_cleaning_in_lower_case_finds_more_duplicates_and_validation_is_held_out(raw):
    _, read = cleaned(raw, "--dedupe", "--lowercase", "--valid-every", "2")
    assert read["train.en"] == ["one two", "a"]
    assert read["valid.en"] == ["odd line here"]
    assert read["test.en"][4] == "one two"


def test_cleaning_refuses_to_leave_nothing(raw):
    words = ["--raw", raw, "--out", raw / "out", "--languages", "en", "de", "--ratio", "0.1"]
    out = run("python", ROOT / "scripts/clean.py", *words, fails=True)
    assert out.endswith("error: --max-words, --ratio: no pair is left.\n")


def test_cleaning_reads_a_pair_at_a_time():
    def endless():
        while True:
            yield "a", "b"

    pairs = clean.kept(endless(), clean.Limits(), None, Counter())
    assert [next(pairs) for _ in range(3)] == [("a", "b")] * 3


def test_test_sets_are_read_as_sacrebleu_reads_them(tmp_path):
    text = published.sgml(["a  b", "&quot;c&quot; <d>", " e\u00a0f "])
    (tmp_path / "x.sgm").write_text(text)
    FakeSGMLDataset("x", langpairs={})._convert_format(f"{tmp_path}/x.sgm", f"{tmp_path}/theirs")
    published.write_tar(tmp_path / "x.tgz", {"test/x.sgm": text})
    ours = list(archives.lines(tmp_path / "x.tgz", "test/x.sgm"))
    assert ours == (tmp_path / "theirs").read_text().split("\n")[:-1]


def test_the_test_set_of_the_recipe_is_the_one_sacrebleu_downloads():
    wanted = DATASETS["wmt14/full"]
    assert (_wmt14.TEST.url, _wmt14.TEST.sum) == (wanted.data[0], f"md5:{wanted.md5[0]}")
    for pair, name in (("en-de", "deen"), ("en-fr", "fren")):
        source, target = pair.split("-")
        member = _wmt14.text(f"{target}-en", name, ())[-3]
        assert wanted.langpairs[pair] == [
            member.format(side="src", lang=source),
            member.format(side="ref", lang=target),
        ]


@pytest.mark.parametrize("cut", [10, 200, -1])
def test_a_cut_archive_is_told(tmp_path, cut):
    path = tmp_path / "x.tgz"
    published.write_tar(path, {"a": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="is damaged or incomplete"):
        archives.verify(path)


STORY = "A line\n\n(CNN) It ended.\n\n@highlight\n\nOne point\n\n@highlight\n\nTwo points .\n"


def test_a_story_is_split_into_article_and_summary():
    article, summary = "A line . (CNN) It ended.", "One point . Two points ."
    assert stories.article_and_summary(STORY) == (article, summary)
    assert stories.article_and_summary("A line\n") == ("A line .", "")


def test_bleu_names_the_test_set_when_told_to():
    metric = SacreBLEU(test_set="wmt14/full:en-de")
    assert metric.score(["a b c d e"], ["a b c d e"]) == {"bleu": pytest.approx(100)}
    assert "|test:wmt14/full|lang:en-de|" in metric.signature


def test_tokenised_bleu_ignores_case_and_splits_as_moses_does():
    metric = TokenisedBLEU(language="en")
    assert metric.tokenise("Don't, they SAID.") == "don &apos;t , they said ."
    assert metric.score(["He said: no."], ["he said: No."])["bleu_tokenised"] == pytest.approx(100)
    # By hand: 5 of 6 words, 3 of 5, 2 of 4 and 1 of 3 n-grams; equally long.
    score = metric.score(["a b c d x e"], ["a b c d e e"])["bleu_tokenised"]
    assert score == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_exact_matches_by_hand():
    hypotheses, references = ["4 7 1", "4 7 1", "4 7", ""], ["4 7 1", "4 1 7", "4 7 1", ""]
    assert Exact().score(hypotheses, references) == {"exact": 50}


def test_rouge_by_hand():
    # 2 of 4 words of the hypothesis, 2 of 2 of the reference: P 1/2, R 1, F 2/3.
    scores = Rouge().score(["the cats sat down"], ["the cat"])
    assert scores["rouge1"] == scores["rougeL"] == pytest.approx(200 / 3)
    assert scores["rouge2"] == pytest.approx(50)
    assert sentences("A b. C d? E .") == "A b.\nC d?\nE ."
