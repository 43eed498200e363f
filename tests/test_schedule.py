"""Schedules at their break points, and what they refuse."""

import math
import re

import pytest

from teaforn_fairseq.unroll.schedule import parse_schedule


def test_a_single_value_holds_throughout():
    schedule = parse_schedule("--teaforn-n", "2")
    assert [schedule(update) for update in (0, 1, 10**9)] == [2, 2, 2]


def test_steps_change_at_their_updates_and_not_before():
    schedule = parse_schedule("--teaforn-n", "1@0,2@10000,3@20000")
    expected = {0: 1, 9999: 1, 10000: 2, 19999: 2, 20000: 3, 10**9: 3}
    assert {update: schedule(update) for update in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linear:100", {0: 0, 50: 0.5, 100: 1, 101: 1}),
        ("0@0,linear:100@40", {0: 0, 40: 0, 41: 0.01, 90: 0.5, 140: 1, 999: 1}),
        ("exponential:0.5", {0: 0, 1: 0.5, 2: 0.75, 3: 0.875}),
        (
            "inverse-sigmoid:10",
            {0: 1 - 10 / 11, 10: 1 - 10 / (10 + math.e), 10**6: 1},
        ),
        ("linear:10@0,0.5@10", {9: 0.9, 10: 0.5, 99: 0.5}),
    ],
)
def test_curves_at_their_break_points(text, expected):
    schedule = parse_schedule("--teaforn-mix", text, curves=True)
    for update, value in expected.items():
        assert schedule(update) == pytest.approx(value), update


UPDATES = "updates must begin at 0 and rise, as in 1@0,2@10000"
WHOLE = "an update must be a whole number, as in 1@0,2@10000"
VALUE = "a value must be a number or one of linear:K, exponential:K, inverse-sigmoid:K"
REFUSED = {
    "": VALUE,
    "x": VALUE,
    "cosine:10": VALUE,
    "linear:": VALUE,
    "1@0,2": UPDATES,
    "1@5": UPDATES,
    "1@0,2@0": UPDATES,
    "1@0,3@20,2@10": UPDATES,
    "1@-5": WHOLE,
    "1@0,2@1e4": WHOLE,
    "linear:0": "K of linear:K must be above 0",
    "exponential:1": "K of exponential:K must be between 0 and 1",
    "inverse-sigmoid:0.5": "K of inverse-sigmoid:K must be at least 1",
}


@pytest.mark.parametrize(("text", "rule"), REFUSED.items())
def test_malformed_schedules_are_refused_with_flag_rule_and_value(text, rule):
    message = f"--teaforn-mix: {rule}; received {text!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_schedule("--teaforn-mix", text, curves=True)


def test_a_curve_is_refused_where_only_numbers_fit():
    with pytest.raises(ValueError, match="^--teaforn-n: a value must be a number; received"):
        parse_schedule("--teaforn-n", "linear:10")
