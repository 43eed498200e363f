"""The recorded losses of short trainings are met again, digit for digit on the same type of CPU
with as many threads; elsewhere rounding may move the last of them."""

import re

import curves
import pytest


@pytest.fixture(scope="module")
def curve_data(tmp_path_factory):
    return curves.write_data(tmp_path_factory.mktemp("curves"))


def release(head):
    """PyTorch's, without the build."""
    return head.split()[2].partition("+")[0]


@pytest.mark.parametrize("name", curves.SETTINGS)
def test_losses_are_the_recorded_ones(name, curve_data):
    head, *recorded = (curves.FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    if release(head) != release(curves.machine()):
        pytest.skip(f"another torch draws other dropout masks: recorded with {head[2:]}")
    found = curves.curve(name, curve_data)
    if head == curves.machine():
        assert found == recorded
        return
    numbers = [[float(x) for x in re.findall(r"=([\d.]+)", line)] for line in (*found, *recorded)]
    for now, before in zip(numbers[: len(found)], numbers[len(found) :], strict=True):
        assert now[0] == pytest.approx(before[0], abs=0.05)
