"""Flags that cannot be, or that do nothing beside others: the flag, the rule, the value, advice."""

import re

import pytest

from teaforn_fairseq.criterions.in_force import in_force
from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.unroll.plan import make_plan

STEPS = "the number of unroll steps must be a whole number of at least 1"
RANGE = "--teaforn-sample-positions: must be above 0 and at most 1; received"
REFUSED = [
    *(
        ({"n": n}, f"--teaforn-n: {STEPS}; received {n}. Use 1 for teacher forcing, 2 or more for"
         " TeaForN.")
        for n in ("0", "1.5", "inf")
    ),
    *(
        ({"discount": x}, f"--teaforn-discount: must lie between 0 and 1; received {x}.")
        for x in ("1.5", "-0.1", "nan")
    ),
    (
        {"weights": "1,0.5,0.25"},
        "--teaforn-weights: needs one weight for each of the --teaforn-n 2 steps; received 3:"
        " '1,0.5,0.25'.",
    ),
    (
        {"n": "1@0,2@9", "weights": "1,1"},
        "--teaforn-weights: needs one number of steps throughout; received --teaforn-n 1@0,2@9 with"
        " --teaforn-weights 1,1. Use --teaforn-discount with a schedule.",
    ),
    *(
        ({"weights": x}, "--teaforn-weights: must be finite, not negative and not all zero;"
         f" received {x!r}.")
        for x in ("1,-1", "2,-1", "0,0", "nan,1", "1,nan", "inf,1", "1e308,1e308")
    ),
    *(
        ({"weights": x}, "--teaforn-weights: must be comma-separated numbers, as in 1,0.5; received"
         f" {x!r}.")
        for x in ("1,x", "", "1;2")
    ),
    (
        {"feedback": "topk", "topk": -1},
        "--teaforn-topk: must be at least 0; received -1. 0 stands for the whole vocabulary.",
    ),
    (
        {"feedback": "gumbel", "temperature": 0.0},
        "--teaforn-temperature: must be a number above 0; received 0.0.",
    ),
    ({"mix": "1.2"}, "--teaforn-mix: must lie between 0 and 1; received 1.2."),
    *(({"sample_positions": x}, f"{RANGE} {x}.") for x in (0.0, 1.5, float("nan"))),
    ({"every": 0}, "--teaforn-every: must be at least 1; received 0."),
    (
        {"every": 2, "weights": "0,1"},
        "--teaforn-every: the updates between need the loss of step 1, so its weight must be above"
        " 0; received 2 with --teaforn-weights 0,1. Leave it out.",
    ),
    *(
        (options, f"--teaforn-{name}: does nothing with --teaforn-feedback {feedback}; received"
         f" {options[name]}. Leave it out, or choose a feedback that reads it: {readers}.")
        for name, feedback, options, readers in (
            ("hard", "topk", {"feedback": "topk", "hard": True}, "gumbel"),
            ("topk", "hidden", {"topk": 0}, "topk"),
            ("detach", "argmax", {"feedback": "argmax", "detach": True}, "gumbel, hidden, topk"),
        )
    ),
    *(
        ({"n": "full", name: x}, f"--teaforn-{name.replace('_', '-')}: does nothing with"
         " --teaforn-n full, which has one pass and aligned labels;"
         f" received {x}. Leave it out.")
        for name, x in (
            *(("discount", "0.9"), ("weights", "1"), ("labels", "shifted"), ("normalize", True)),
            *(("recompute", True), ("sample_positions", 0.5), ("every", 2)),
        )
    ),
    *(
        ({"n": "1", name: x}, f"--teaforn-{name.replace('_', '-')}: does nothing with"
         f" --teaforn-n 1, which hands nothing on; received {x}. Leave it out, or raise"
         " --teaforn-n.")
        for name, x in (
            *(("feedback", "topk"), ("mix", "0.5"), ("detach", True), ("normalize", True)),
            *(("recompute", True), ("sample_positions", 0.5), ("every", 2)),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=str)
def test_it_is_refused_with_flag_rule_and_value(options, message):
    given = {f"teaforn_{name}": x for name, x in options.items()}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_plan(in_force(TeaForNCrossEntropyCriterionConfig(**given)))
