"""Intervals and p, held against their formulas."""

from math import sqrt
from statistics import stdev

import pytest

from teaforn_fairseq.beams.statistics import p_value, t_interval


def test_a_t_interval_is_the_formula_s():
    # Student's t for 95 % and 2 degrees of freedom, from the tables: 4.3027.
    differences = [0.2, 0.5, 1.1]
    found = t_interval(differences)
    half = 4.3027 * stdev(differences) / sqrt(3)
    assert found.mean == pytest.approx(0.6)
    assert (found.low, found.high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-4)
    assert t_interval([0.5]).low is None
    same = t_interval([0.5, 0.5])
    assert (same.mean, same.low, same.high) == (0.5, 0.5, 0.5)


def test_p_is_one_for_equal_systems_and_small_for_unequal_ones():
    reference = [f"the number {x} is here and {x + 1} is there" for x in range(40)]
    worse = [f"the number {x} was there" for x in range(40)]
    for metric in ("bleu", "chrf"):
        assert p_value(metric, worse, worse, reference) == 1.0
        assert p_value(metric, worse, reference, reference) < 0.001
        # Of two translations that differ half of the exchanges have the whole difference.
        assert p_value(metric, worse, [*worse[:-2], *reference[-2:]], reference) == 0.5
        assert p_value(metric, worse, [*worse[:-1], reference[-1]], reference) == 1.0
