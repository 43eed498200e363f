"""Options that cannot be are refused on fairseq-train's command line: one message, before any work.

What the flags' values must be, and which do nothing beside others: test_refused_options.py.
"""

import re

import pytest
from commands import ROOT, TEAFORN, refusal

BLEU = ["--task", "teaforn_translation", "--eval-bleu-beams"]
BEST = ["--best-checkpoint-metric", "bleu_beam4"]
REFERENCES = [*BLEU, "4", "--eval-bleu-references"]
BEAMS = "ValueError: --eval-bleu-beams: must be different whole numbers.* received "
BAD = {
    "no steps": (["--teaforn-n", "0"], "ValueError: --teaforn-n: .* received 0"),
    "discount": (["--teaforn-discount", "2"], "ValueError: --teaforn-discount: "),
    "weights": (["--teaforn-weights", "1"], "ValueError: --teaforn-weights: "),
    "stock": (
        ["--arch", "transformer_tiny"],
        "ValueError: --arch: .* received transformer_tiny. Use --arch teaforn_transformer_tiny.",
    ),
    "no twin": (
        ["--arch", "lstm"],
        "ValueError: --arch: .* received lstm. There are teaforn_. twins for .*: bart, ",
    ),
    "unknown twin": (["--arch", "teaforn_lstm"], "invalid choice: 'teaforn_lstm'"),
    "adaptive": (
        ["--adaptive-softmax-cutoff", "20,40"],
        "ValueError: --adaptive-softmax-cutoff: .* received .20, 40.",
    ),
    "widths": (
        ["--decoder-output-dim", "32"],
        "ValueError: --decoder-output-dim: .* received --decoder-output-dim 32",
    ),
    "unshared, one step": (
        ["--teaforn-unshared", "--teaforn-n", "1"],
        "ValueError: --teaforn-unshared: needs unroll steps to serve",
    ),
    "unshared, free running": (
        ["--teaforn-unshared", "--teaforn-n", "full"],
        "ValueError: --teaforn-unshared: cannot be combined with --teaforn-n full",
    ),
    "beams": ([*BLEU, "4,x"], f"{BEAMS}'4,x'"),
    "beams, empty": ([*BLEU, ""], f"{BEAMS}''"),
    "metric of no beam": (
        [*BLEU, "1", *BEST, "--maximize-best-checkpoint-metric"],
        "ValueError: --best-checkpoint-metric: .* received bleu_beam4 with --eval-bleu-beams 1",
    ),
    "lowest BLEU": (
        [*BLEU, "4", *BEST],
        "ValueError: --best-checkpoint-metric: .* received bleu_beam4 without it",
    ),
    "references, no beams": (
        [*BLEU[:2], "--eval-bleu-references", "valid.de"],
        "ValueError: --eval-bleu-references: .* received valid.de without it",
    ),
    "references, two sets": (
        [*REFERENCES, "a", "--valid-subset", "valid,test"],
        "ValueError: --eval-bleu-references: .* received --valid-subset valid,test",
    ),
    "references, no file": (
        [*REFERENCES, "missing"],
        "ValueError: --eval-bleu-references: must be a text file; received missing",
    ),
    "references, too few": (
        [*REFERENCES, ROOT / "LICENSE"],
        "ValueError: --eval-bleu-references: .* each sentence of the validation set, 20; received",
    ),
    "no JSON": (
        [*BLEU, "4", "--eval-bleu-args", "lenpen"],
        "ValueError: --eval-bleu-args: must be a JSON object.* received lenpen",
    ),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_in_one_message_before_any_update(data, tmp_path, options, message):
    out = refusal(data, tmp_path / "run", *TEAFORN, *options)
    assert re.search(message, out), out
