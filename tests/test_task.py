"""The task teaforn_translation: BLEU at several beams while training."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import sacrebleu
from commands import PLUGIN, ROOT, TEAFORN, generate, run, train

from teaforn_fairseq.tasks.bleu_options import parse_beams

TASK = ["--task", "teaforn_translation"]
BLEU = [*TASK, "--eval-bleu-beams", "1,4", "--eval-bleu-remove-bpe", "sentencepiece"]
BEST = ["--best-checkpoint-metric", "bleu_beam4", "--maximize-best-checkpoint-metric"]
DROPS = ["--required-batch-size-multiple", "8"]  # fairseq's default
# Long enough for sentences that partly match; two validations, the first far worse.
LEARN = [*TEAFORN, "--max-update", "180", "--validate-interval", "10", "--save-interval", "10"]
TIMES = {"wps", "ups", "wall", "train_wall"}


@pytest.fixture(scope="module")
def scored(data, made_once):
    """A run that keeps its best checkpoint by BLEU: its folder and log."""
    options = [*LEARN, *BLEU, *BEST, *DROPS]
    return made_once("scored", lambda folder: train(data, folder, *options))


@pytest.fixture(scope="module")
def with_unknown_words(numerals, preprocessed, made_once):
    """The same text, binarised with a dictionary that leaves out many subwords: bin, valid.de.

    Every sentence of the validation set ends in three marks that are one unknown word there.
    """

    def make(folder):
        marked = (numerals / "valid.de").read_text().replace("\n", " !?!\n")
        (folder / "valid.de").write_text(marked)
        for raw in (*numerals.glob("[tv]*.en"), numerals / "train.de", folder / "valid.de"):
            encode = ("python", ROOT / "scripts/subwords.py", "encode")
            text = run(*encode, "--model", preprocessed / "spm.model", stdin=raw.read_text())
            (folder / f"text.{raw.name}").write_text(text)
        run(
            *("fairseq-preprocess", "--source-lang", "en", "--target-lang", "de"),
            *("--joined-dictionary", "--nwordssrc", "80", "--trainpref", folder / "text.train"),
            *("--validpref", folder / "text.valid", "--destdir", folder / "bin"),
        )

    return made_once("unknown words", make)[0]


def corpus_bleu(data, checkpoint, beam, references):
    """sacreBLEU of fairseq-generate's hypotheses of the validation set, and the hypotheses."""
    options = ["--user-dir", PLUGIN, "--gen-subset", "valid", "--remove-bpe", "sentencepiece"]
    lines = generate(data, checkpoint, "--beam", beam, *options)
    found = {}
    for line in lines:
        if line.startswith("D-"):
            number, _, text = line[2:].split("\t")
            found[int(number)] = text
    hypotheses = [found[number] for number in range(20)]
    references = references.read_text().splitlines()
    return round(sacrebleu.corpus_bleu(hypotheses, [references]).score, 2), hypotheses


@pytest.mark.parametrize("beam", [1, 4])
def test_logged_bleu_is_that_of_fairseq_generate_and_raw_references(data, numerals, scored, beam):
    folder, log = scored
    logged = float(log["valid"][-1][f"valid_bleu_beam{beam}"])
    generated, _ = corpus_bleu(data, folder / "checkpoint_last.pt", beam, numerals / "valid.de")
    assert logged == generated > 1


def test_unknown_words_count_as_in_the_raw_references_if_these_are_given(
    with_unknown_words, tmp_path
):
    data, raw = with_unknown_words / "bin", with_unknown_words / "valid.de"
    log = train(data, tmp_path, *LEARN, *BLEU, "--eval-bleu-references", raw)
    generated, hypotheses = corpus_bleu(data, tmp_path / "checkpoint_last.pt", 4, raw)
    assert any("<unk>" in text for text in hypotheses)
    assert float(log["valid"][-1]["valid_bleu_beam4"]) == generated > 1


def test_best_checkpoint_is_the_one_with_the_highest_bleu(data, numerals, scored):
    folder, log = scored
    first, last = (float(record["valid_bleu_beam4"]) for record in log["valid"])
    assert first < last
    best, _ = corpus_bleu(data, folder / "checkpoint_best.pt", 4, numerals / "valid.de")
    assert best == last == float(log["valid"][-1]["valid_best_bleu_beam4"])


def test_two_processes_log_the_bleu_of_one(data, scored, tmp_path):
    folder, log = scored
    still = ["--restore-file", folder / "checkpoint_last.pt", "--lr", "0", "--lr-scheduler"]
    still += ["fixed", "--reset-optimizer", "--reset-lr-scheduler", "--reset-dataloader"]
    # Three batches for two ranks: one of them validates a dummy that must not count.
    still += [*TEAFORN, *BLEU, "--max-update", "1", "--batch-size-valid", "7", "--no-save"]
    ranks = [*("--ddp-backend", "legacy_ddp", "--distributed-backend", "gloo")]
    ranks += ["--distributed-no-spawn", "--distributed-world-size", "2"]
    ranks += ["--distributed-init-method", f"file://{tmp_path}/store", "--distributed-rank"]
    with ThreadPoolExecutor() as pool:
        first, _ = pool.map(
            lambda rank: train(data, tmp_path / "run", *still, *ranks, rank), ["0", "1"]
        )
    for key in ("valid_bleu_beam1", "valid_bleu_beam4", "valid_nll_loss"):
        assert first["valid"][-1][key] == log["valid"][-1][key], key


def test_validate_logs_bleu_too(data, scored):
    folder, log = scored
    out = run(
        *("fairseq-validate", data, "--user-dir", PLUGIN, *TASK, "--cpu", "--max-tokens", "800"),
        *("--path", folder / "checkpoint_last.pt"),
    )
    for key in ("nll_loss", "bleu_beam1", "bleu_beam4"):
        assert f" | {key} {log['valid'][-1][f'valid_{key}']}" in out


def test_without_its_options_the_task_trains_as_translation_does(data, tmp_path):
    options = [*TEAFORN, "--max-update", "4", "--no-save"]
    own, stock = (
        train(data, tmp_path / task, *options, "--task", task)
        for task in ("teaforn_translation", "translation")
    )
    assert [timeless(r) for r in own["train_inner"]] == [timeless(r) for r in stock["train_inner"]]
    assert timeless(own["valid"][0]) == timeless(stock["valid"][0])


def timeless(record):
    return {key: value for key, value in record.items() if key.split("_", 1)[-1] not in TIMES}


BEAMS = r"--eval-bleu-beams: must be different whole numbers.* received "


@pytest.mark.parametrize("text", ["", " ", "x", "1.5", "1,", "0", "4,-1", "4,4", "1;4"])
def test_beams_that_are_no_beams(text):
    with pytest.raises(ValueError, match=f"^{BEAMS}{re.escape(repr(text))}\\.$"):
        parse_beams(text)


def test_beams_in_the_order_given():
    assert parse_beams("4, 1,8") == (4, 1, 8)
    assert parse_beams(None) == ()
