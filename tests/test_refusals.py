"""Options that cannot be are refused in one message, before any update."""

import re

import pytest
from commands import TEAFORN, refusal

BAD = {
    "no steps": ([*TEAFORN, "--teaforn-n", "0"], "ValueError: --teaforn-n: .* received 0"),
    "discount": ([*TEAFORN, "--teaforn-discount", "2"], "ValueError: --teaforn-discount: "),
    "weights": ([*TEAFORN, "--teaforn-weights", "1"], "ValueError: --teaforn-weights: "),
    "stock": (
        [*TEAFORN, "--arch", "transformer_tiny"],
        "received transformer_tiny. Use --arch teaforn_transformer_tiny.",
    ),
    "no twin": (
        [*TEAFORN, "--arch", "lstm"],
        "received lstm. There are teaforn_. twins for .*: bart, ",
    ),
    "unknown twin": ([*TEAFORN, "--arch", "teaforn_lstm"], "invalid choice: 'teaforn_lstm'"),
    "adaptive": (
        [*TEAFORN, "--adaptive-softmax-cutoff", "20,40"],
        "ValueError: --adaptive-softmax-cutoff: .* received .20, 40.",
    ),
    "widths": (
        [*TEAFORN, "--decoder-output-dim", "32"],
        "ValueError: --decoder-output-dim: .* received --decoder-output-dim 32",
    ),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_in_one_message_before_any_update(data, tmp_path, options, message):
    out = refusal(data, tmp_path / "run", *options)
    assert re.search(message, out), out
