"""Scoring, generation and validation cover all data, or stop and name what they would leave out."""

import re

import pytest
import small_lm
from commands import PLUGIN, TEAFORN, TRANSLATION, Training, run, train
from small_lm import SAMPLE, num_tokens

SKIP = "--skip-invalid-size-inputs-valid-test"
STOCK = ["--task", "translation", "--required-batch-size-multiple", "8"]  # fairseq's defaults
SHORT = ["--max-source-positions", "20"]
LIMIT = r"ValueError: --max-source-positions, --max-target-positions: .* received (\d+) of (\d+)"


@pytest.fixture(scope="module")
def lm(stream, made_once):
    """Data and a checkpoint of a language model that takes 32 tokens."""
    options = ["--max-update", "1", "--disable-validation"]
    folder, _ = made_once("lm", lambda folder: small_lm.train(stream, folder, *options))
    return stream, folder / "checkpoint_last.pt"


def eval_lm(lm, *options, **kwargs):
    data, checkpoint = lm
    words = [data, "--user-dir", PLUGIN, "--path", checkpoint, "--cpu", *options]
    return run("fairseq-eval-lm", *words, **kwargs)


@pytest.mark.parametrize("context", [0, 10])
@pytest.mark.parametrize("subset", ["test", "train"])
def test_eval_lm_evaluates_every_token(lm, numerals, subset, context):
    options = ["--gen-subset", subset, "--context-window", context, "--tokens-per-sample", SAMPLE]
    printed = eval_lm(lm, *options)
    (evaluated,) = re.findall(r"Evaluated ([\d,]+) tokens", printed)
    assert int(evaluated.replace(",", "")) == num_tokens(numerals / f"{subset}.de") > SAMPLE


@pytest.mark.parametrize("options", [[], ["--tokens-per-sample", str(SAMPLE + 1)]])
def test_eval_lm_stops_where_blocks_are_longer_than_the_model_takes(lm, options):
    printed = eval_lm(lm, *options, "--gen-subset", "train", fails=True)
    message = rf"ValueError: --tokens-per-sample: must be at most {SAMPLE}, .* received \d+ of \d+ "
    assert re.match(message, printed.splitlines()[-1]), printed
    assert "Perplexity" not in printed


def test_eval_lm_leaves_out_what_it_was_asked_to_leave_out(lm, numerals):
    total = num_tokens(numerals / "test.de")
    options = ["--tokens-per-sample", total - 1]  # one block too long, and one of a single token
    printed = eval_lm(lm, *options, SKIP)
    assert "1 samples have invalid sizes and will be skipped" in printed
    assert "Evaluated 1 tokens" in printed


def hypotheses(printed):
    return re.findall(r"^H-(\d+)", printed, flags=re.MULTILINE)


def generate(data, checkpoint, *options, **kwargs):
    words = [data, "--user-dir", PLUGIN, "--path", checkpoint, "--cpu", "--beam", "1", *options]
    return run("fairseq-generate", *words, **kwargs)


def test_generation_of_any_task_keeps_every_sentence(data, last):
    printed = generate(data, last, *STOCK)
    assert sorted(map(int, hypotheses(printed))) == list(range(13))


def test_generation_of_a_task_with_batches_of_its_own_keeps_every_sentence(data, tmp_path):
    task = ["--task", "translation_multi_simple_epoch", "--langs", "en,de"]
    task += ["--lang-pairs", "en-de", "--decoder-langtok"]
    once = [*TEAFORN, "--max-update", "1", "--disable-validation"]
    train(data, tmp_path, *once, task=[*TRANSLATION, *task])
    here = ["--source-lang", "en", "--target-lang", "de", "--required-batch-size-multiple", "8"]
    printed = generate(data, tmp_path / "checkpoint_last.pt", *task, *here)
    assert sorted(map(int, hypotheses(printed))) == list(range(13))


def test_generation_stops_at_sentences_that_are_too_long(data, last):
    printed = generate(data, last, *STOCK, *SHORT, fails=True)
    found = re.match(LIMIT, printed.splitlines()[-1])
    assert found and 0 < int(found[1]) < int(found[2]) == 13, printed
    assert not hypotheses(printed)
    some = generate(data, last, *STOCK, *SHORT, SKIP)
    assert len(hypotheses(some)) == 13 - int(found[1])


def test_interactive_stops_at_sentences_that_are_too_long(data, last, tmp_path):
    (tmp_path / "text").write_text("a b\n" + "a b c d e " * 5 + "\n")
    words = [data, "--user-dir", PLUGIN, "--path", last, "--cpu", *SHORT]
    words += ["--input", tmp_path / "text", "--buffer-size", "2"]
    printed = run("fairseq-interactive", *words, fails=True)
    assert re.match(LIMIT, printed.splitlines()[-1]), printed


@pytest.mark.parametrize("subset", ["valid", "train"])
def test_validation_in_training_stops_at_sentences_that_are_too_long(data, tmp_path, subset):
    # Training leaves such sentences out, and may be asked to validate on its own data.
    options = [*TEAFORN, *SHORT, "--max-update", "1", "--valid-subset", subset]
    printed = Training(data, tmp_path / "run", *options, log=tmp_path / "log").finish(fails=True)
    assert re.match(LIMIT, printed.splitlines()[-1]), printed
    assert "num_updates" not in printed
    train(data, tmp_path / "run", *options, SKIP)


def test_validation_of_any_task_keeps_every_sentence(data, last):
    words = [data, "--user-dir", PLUGIN, "--path", last, "--cpu", "--max-tokens", "800"]
    losses = {
        re.search(r"\| valid \|.* \| loss ([\d.]+)", printed)[1]
        for multiple in ("1", "8")
        for printed in [
            run(
                *("fairseq-validate", *words, "--task", "translation"),
                *("--required-batch-size-multiple", multiple),
            )
        ]
    }
    assert len(losses) == 1


def test_training_batches_stay_fairseqs(data, tmp_path):
    """Of 300 pairs stock fairseq with these options trains on 296 in an epoch."""
    options = [*TEAFORN, *STOCK, "--max-epoch", "1", "--no-save", "--max-tokens", "100000"]
    log = train(data, tmp_path / "run", *options)
    assert sum(float(record["bsz"]) for record in log["train_inner"]) == 296
