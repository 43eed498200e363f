"""What the value of a setting must be."""

import re
from collections.abc import Callable

# A value to what it must be ("at least 1"), or None where it is.
Rule = Callable[[str], str | None]


def anything(value: str) -> None:
    """No rule."""


def whole(least: int = 0, most: int = 2**31 - 1) -> Rule:
    """A whole number in this range, both ends included."""

    def rule(value: str) -> str | None:
        if not re.fullmatch("[0-9]+", value):
            return "a whole number"
        if int(value) < least:
            return f"at least {least}"
        return None if int(value) <= most else f"at most {most}"

    return rule


def number(holds: Callable[[float], bool], text: str) -> Rule:
    """A decimal number for which ``holds``; ``text`` says so, as in "above 0"."""

    def rule(value: str) -> str | None:
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value):
            return "a number"
        return None if holds(float(value)) else text

    return rule


def choice(*values: str) -> Rule:
    """One of these."""
    text = f"{', '.join(values[:-1])} or {values[-1]}"
    return lambda value: None if value in values else text


def switch() -> Rule:
    """0 or 1."""
    return choice("0", "1")


def weights(value: str) -> str | None:
    """Numbers from 0 on, one of them above, between commas."""
    decimal = number(lambda x: x >= 0, "")
    words = value.split(",")
    good = all(decimal(word) is None for word in words) and any(map(float, words))
    return None if good else "numbers from 0 on, not all 0, between commas"


def numbers(value: str) -> str | None:
    """Whole numbers from 1 on, between spaces."""
    words = value.split()
    good = words and all(re.fullmatch("[1-9][0-9]*", word) for word in words)
    return None if good else "whole numbers"


def schedule(rule: Rule, text: str, *others: str) -> Rule:
    """VALUE, or VALUE@UPDATE,VALUE@UPDATE,... from 0 on and rising, as in the plugin's flags.

    Args:
        rule: of each VALUE.
        text: what the whole must be.
        others: what stands beside it.
    """

    def check(value: str) -> str | None:
        if value in others:
            return None
        pieces = [piece.rpartition("@") for piece in value.split(",")]
        if len(pieces) == 1 and not pieces[0][1]:
            pieces = [(value, "@", "0")]
        if any(rule(piece) or not re.fullmatch("[0-9]+", start) for piece, _, start in pieces):
            return text
        starts = [int(start) for _, _, start in pieces]
        good = starts[0] == 0 and starts == sorted(set(starts))
        return None if good else f"{text}, whose updates begin at 0 and rise"

    return check


positive = number(lambda x: x > 0, "above 0")
share = number(lambda x: 0 <= x < 1, "at least 0 and below 1")
