"""Values that change with the number of updates, in one syntax for N, discount and mix.

    2                        the value 2 throughout
    1@0,2@10000,3@20000      1 from update 0 on, 2 from update 10000 on, 3 from update 20000 on
    0@0,linear:20000@5000    0 up to update 5000, then the curve, counted from there

Curves rise from 0 to 1, or towards it: one minus the share of gold tokens of scheduled sampling's
usual decays (Bengio et al. 2015, section 2.4), u updates after their start:

    linear:K             min(1, u / K)              K > 0
    exponential:K        1 - K^u                    0 < K < 1
    inverse-sigmoid:K    1 - K / (K + exp(u / K))   K >= 1
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

Curve = Callable[[int], float]


# Plain functions, not lambdas: criterions are pickled for processes that are spawned.
def _constant(value: float, _: int) -> float:
    return value


def _linear(k: float, u: int) -> float:
    return min(1.0, u / k)


def _exponential(k: float, u: int) -> float:
    return 1 - k**u


def _inverse_sigmoid(k: float, u: int) -> float:
    return 1 - k / (k + math.exp(min(u / k, 700.0)))  # exp overflows beyond


CURVES: dict[str, tuple[Callable[[float, int], float], Callable[[float], bool], str]] = {
    "linear": (_linear, lambda k: k > 0, "above 0"),
    "exponential": (_exponential, lambda k: 0 < k < 1, "between 0 and 1"),
    "inverse-sigmoid": (_inverse_sigmoid, lambda k: k >= 1, "at least 1"),
}


@dataclass(frozen=True)
class Schedule:
    """A value for every update.

    Attributes:
        starts: update from which each piece holds; the first is 0.
        pieces: value of each piece, as a function of the updates since its start.
        values: the constants among the pieces, for checks.
    """

    starts: tuple[int, ...]
    pieces: tuple[Curve, ...]
    values: tuple[float, ...]

    def __call__(self, update: int) -> float:
        """The value at this number of updates, 0 or more."""
        piece = bisect_right(self.starts, update) - 1
        return self.pieces[piece](update - self.starts[piece])


def parse_schedule(flag: str, text: str, *, curves: bool = False) -> Schedule:
    """Read a schedule.

    Args:
        flag: named in messages.
        text: VALUE or VALUE@UPDATE,VALUE@UPDATE,...
        curves: whether a value may be a curve.

    Raises:
        ValueError: the text is malformed; the message names flag, rule and value.
    """
    pieces = [piece.rpartition("@") for piece in text.split(",")]
    if len(pieces) == 1 and not pieces[0][1]:
        pieces = [(pieces[0][2], "@", "0")]
    starts = [_start(flag, text, start) if at else -1 for _, at, start in pieces]
    if starts[0] != 0 or sorted(set(starts)) != starts:
        raise ValueError(
            f"{flag}: updates must begin at 0 and rise, as in 1@0,2@10000; received {text!r}."
        )
    parsed = [_value(flag, text, value, curves) for value, _, _ in pieces]
    constants = tuple(value for value in parsed if not callable(value))
    return Schedule(
        starts=tuple(starts),
        pieces=tuple(x if callable(x) else partial(_constant, x) for x in parsed),
        values=constants,
    )


def _start(flag: str, text: str, start: str) -> int:
    if not start.isdecimal():
        raise ValueError(
            f"{flag}: an update must be a whole number, as in 1@0,2@10000; received {text!r}."
        )
    return int(start)


def _value(flag: str, text: str, value: str, curves: bool) -> float | Curve:
    name, colon, parameter = value.partition(":")
    try:
        if not colon:
            return float(value)
        if curves and name in CURVES:
            return _curve(flag, text, name, float(parameter))
    except ValueError as error:
        if str(error).startswith(flag):
            raise
    allowed = f" or one of {', '.join(f'{name}:K' for name in CURVES)}" if curves else ""
    raise ValueError(f"{flag}: a value must be a number{allowed}; received {text!r}.")


def _curve(flag: str, text: str, name: str, parameter: float) -> Curve:
    curve, legal, rule = CURVES[name]
    if not legal(parameter):
        raise ValueError(f"{flag}: K of {name}:K must be {rule}; received {text!r}.")
    return partial(curve, parameter)
