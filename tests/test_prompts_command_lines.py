"""Language models whose prompts differ in length: train, resume, validate, generate."""

import re

import pytest
import small_lm
from commands import PLUGIN, TEAFORN, generate, log_records, refusal, run, values

LINES = ["--sample-break-mode", "eos", "--dropout", "0"]
PROMPTS = [*LINES, "--teaforn-prompt-end", "=>"]
OPTIONS = [*PROMPTS, "--report-accuracy", "--max-update"]


@pytest.fixture(scope="module")
def prompted_run(prompted, made_once):
    """A run of eight updates and its log."""
    return made_once("prompted run", lambda x: small_lm.train(prompted, x, *OPTIONS, "8"))


def num_behind(path):
    """Words behind the first "=>" of each line, and the ends of the lines."""
    return sum(len(line.split(" => ")[1].split()) + 1 for line in path.read_text().splitlines())


def test_a_resumed_run_logs_what_one_that_never_stopped_does(prompted, prompted_run, tmp_path):
    first = small_lm.train(prompted, tmp_path, *OPTIONS, "3")["train_inner"]
    rest = small_lm.train(prompted, tmp_path, *OPTIONS, "8")["train_inner"]
    assert values(first + rest) == values(prompted_run[1]["train_inner"])


def test_validation_counts_what_is_behind_the_prompts(prompted, prompted_run):
    folder, log = prompted_run
    inside = log["valid"][-1]
    assert float(inside["valid_wpb"]) == num_behind(prompted / "valid")
    out = run(
        *("fairseq-validate", prompted, "--user-dir", PLUGIN, "--task", "language_modeling"),
        *("--path", folder / "checkpoint_last.pt", "--valid-subset", "valid", "--cpu"),
        *("--max-tokens", "800", "--log-format", "json"),
    )
    alone = log_records(out)["valid"][-1]
    for key in ("nll_loss_1", "nll_loss_2", "accuracy_2", "ppl"):
        assert alone[f"valid_{key}" if f"valid_{key}" in alone else key] == inside[f"valid_{key}"]


def test_update_freq_and_one_large_batch_log_the_same(prompted, tmp_path):
    once = ["--max-update", "1", "--no-save", "--disable-validation"]
    small, large = (
        small_lm.train(prompted, tmp_path / str(n), *PROMPTS, *once, *batches)["train_inner"][0]
        for n, batches in enumerate(
            [
                ["--batch-size", "150", "--update-freq", "2", "--max-tokens", "9999"],
                ["--batch-size", "300", "--max-tokens", "9999"],
            ]
        )
    )
    assert float(large["wpb"]) == num_behind(prompted / "train") == float(small["wpb"])
    for key in ("loss", "nll_loss_1", "nll_loss_2", "gnorm"):
        assert float(small[key]) == pytest.approx(float(large[key]), abs=2e-3)


def continued(prompted, prompted_run, prompts, batch_size, tmp_path):
    """What fairseq-interactive makes of the prompts, by number."""
    (tmp_path / "prompts").write_text("".join(f"{x} =>\n" for x in prompts))
    out = run(
        *("fairseq-interactive", prompted, "--user-dir", PLUGIN, "--task", "language_modeling"),
        *("--path", prompted_run[0] / "checkpoint_last.pt", "--cpu", "--beam", "2"),
        *("--input", tmp_path / "prompts", "--max-len-b", "12"),
        *("--buffer-size", batch_size, "--batch-size", batch_size),
    )
    return dict(re.findall(r"^H-(\d+)\t\S+\t(.*)$", out, re.MULTILINE))


def test_interactive_continues_prompts_of_any_length_in_one_batch(prompted, prompted_run, tmp_path):
    lines = (prompted / "train").read_text().splitlines()[:40]
    prompts = sorted({line.split(" => ")[0] for line in lines}, key=len)[::8]
    assert len({len(x.split()) for x in prompts}) > 2
    together = continued(prompted, prompted_run, prompts, len(prompts), tmp_path)
    assert together == continued(prompted, prompted_run, prompts, 1, tmp_path)
    for number, prompt in enumerate(prompts):
        assert together[str(number)].startswith(f"{prompt} =>")


def test_generate_gives_the_first_k_tokens_of_each_line(prompted, prompted_run):
    lines = generate(
        *(prompted, prompted_run[0] / "checkpoint_last.pt", "--user-dir", PLUGIN, "--beam", "2"),
        *("--task", "language_modeling", "--sample-break-mode", "eos", "--prefix-size", "1"),
    )
    first = {x[2:].split("\t")[0]: x.split("\t")[-1].split()[0] for x in lines if x[0] == "T"}
    made = {x[2:].split("\t")[0]: x.split("\t")[-1].split()[0] for x in lines if x[0] == "H"}
    assert len(made) == 13
    assert {k: x for k, x in made.items() if "<unk>" not in first[k]} == {
        k: x for k, x in first.items() if "<unk>" not in x
    }


REFUSED = {
    "no lines": (
        ["--sample-break-mode", "none"],
        "needs rows that begin with their prompt; received '=>' with --sample-break-mode none",
    ),
    "several lines": (
        ["--sample-break-mode", "complete_doc"],
        "needs rows that begin with their prompt; received '=>' with --sample-break-mode"
        " complete_doc. Set --sample-break-mode eos, which makes a row of each line.",
    ),
    "no word": (
        [*LINES, "--teaforn-prompt-end", "<sep>"],
        "must be a word of the dictionary and none of its special symbols; received '<sep>'",
    ),
    "cut off": (
        [*LINES, "--shorten-method", "truncate", "--tokens-per-sample", "3"],
        "every row must hold the symbol, and go on behind it; received '=>' and row ",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_prompts_that_cannot_be_are_refused(prompted, tmp_path, options, message):
    own = ["--teaforn-prompt-end", "=>", *options]
    out = refusal(prompted, tmp_path / "run", *small_lm.LM, *own)
    assert f"ValueError: --teaforn-prompt-end: {message}" in out, out


@pytest.mark.parametrize("known", [True, False], ids=["a word", "no word"])
def test_a_model_with_an_encoder_is_refused(data, tmp_path, known):
    word = (data / "dict.de.txt").read_text().split()[0] if known else "=>"
    out = refusal(data, tmp_path / "run", *TEAFORN, "--teaforn-prompt-end", word)
    assert (
        "ValueError: --teaforn-prompt-end: is for language models, whose prompt is part of the"
        f" target; received {word!r} with --arch teaforn_transformer_tiny. Leave it out;"
        " --ignore-prefix-size gives the first tokens of every target." in out
    ), out
