"""Nothing is too long for a model in silence: pairs are left out openly, or the recipe stops."""

import json

import pytest
from commands import ROOT, run
from recipe_commands import recipe

TEXT = {
    "train": (["a", "a b c", "a b", "a b c d e"], ["x", "x", "x y z", "x"]),
    "valid": (["a b", "a b c"], ["x", "x"]),
    "test": (["a b c"], ["x y z x"]),
}


@pytest.fixture
def text(tmp_path):
    for split, sides in TEXT.items():
        for language, lines in zip(("en", "de"), sides, strict=True):
            (tmp_path / f"{split}.{language}").write_text("".join(f"{x}\n" for x in lines))
    return tmp_path


def lengths(text, *options, **kwargs):
    words = ["--text", text, "--languages", "en", "de", "--json", text / "lengths.json", *options]
    return run("python", ROOT / "scripts/lengths.py", *words, **kwargs)


def test_pairs_that_are_too_long_are_left_out_and_counted(text):
    told = lengths(text, "--most", 2)
    assert "train: left out 3 of 4 pairs longer than 2\n" in told
    assert "valid: left out 1 of 2 pairs longer than 2\n" in told
    assert (text / "train.en").read_text() == "a\n" and (text / "train.de").read_text() == "x\n"
    assert (text / "test.en").read_text() == "a b c\n"
    longest = json.loads((text / "lengths.json").read_text())["longest"]
    assert longest["train"] == {"source": 1, "target": 1}
    assert longest["test"] == {"source": 3, "target": 4}
    assert not list(text.glob("*.partial"))


def test_the_test_set_is_whole_or_it_stops(text):
    told = lengths(text, "--most", 9, "--positions", 3)
    assert "test: 1 references are cut after 3; scores are of the raw text\n" in told
    assert (text / "test.de").read_text() == "x y z\n"
    out = lengths(text, "--most", 9, "--positions", 2, fails=True)
    assert "a sentence of the test set has 3 subwords; a model takes 2." in out


def test_sources_that_fairseq_cuts_are_counted(text):
    told = lengths(text, "--most", 3, "--positions", 3, "--truncate-source")
    assert "train: 1 of 4 sources are cut after 3\n" in told and "left out" not in told
    assert len((text / "train.en").read_text().splitlines()) == 4


def test_no_pair_left_is_refused(text):
    out = lengths(text, "--most", 1, fails=True)
    assert out.endswith("error: --most: no pair of valid is left.\n")


@pytest.mark.parametrize(
    ("stage", "env", "options", "message"),
    [
        (
            "train",
            {"MAX_TOKENS": "20"},
            (),
            "error: MAX_TOKENS=20: must be at least 31, the longest",
        ),
        (
            "train",
            {},
            ("--max-target-positions", "25"),
            "error: --max-target-positions=25: must be at least 28, the longest sentence of train",
        ),
        ("generate", {"GENERATE_TOKENS": "9"}, (), "error: GENERATE_TOKENS=9: must be at least 10"),
    ],
    ids=["MAX_TOKENS", "positions", "GENERATE_TOKENS"],
)
def test_a_batch_or_model_too_small_for_a_sentence_is_told(
    stage, env, options, message, settings, tmp_path
):
    out = tmp_path / "out"
    (out / "data/bin").mkdir(parents=True)
    (out / "n2-seed1").mkdir()
    (out / "n2-seed1/trained").write_text("3\n")
    longest = {"train": {"source": 30, "target": 27}, "valid": {"source": 2, "target": 2}}
    longest["test"] = {"source": 9, "target": 8}
    (out / "data/lengths.json").write_text(json.dumps({"longest": longest}))
    words = (stage, "--", *options)
    assert message in recipe("multi30k", *words, env={**settings, **env}, fails=True)


def test_no_recipe_lets_fairseq_skip_what_is_too_long(tmp_path):
    out = recipe("--dry-run", "cnndm", env={"OUT": str(tmp_path), "GPUS": "0"})
    assert "--skip-invalid-size-inputs-valid-test" not in out
    assert "lengths.py" in out and "--truncate-source --json" in out
