"""The recorded losses of short trainings are met again: to the last digit that is printed, which
may be rounded otherwise, on the same type of CPU with as many threads; less closely elsewhere."""

import re

import curves
import pytest


@pytest.fixture(scope="module")
def curve_data(tmp_path_factory):
    return curves.write_data(tmp_path_factory.mktemp("curves"))


def release(head):
    """PyTorch's, without the build."""
    return head.split()[2].partition("+")[0]


def losses(line):
    """All of a line, in its order."""
    return [float(x) for x in re.findall(r"loss\w*=([\d.]+)", line)]


@pytest.mark.parametrize("name", curves.SETTINGS)
def test_losses_are_the_recorded_ones(name, curve_data):
    head, *recorded = (curves.FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    if release(head) != release(curves.machine()):
        pytest.skip(f"another torch draws other dropout masks: recorded with {head[2:]}")
    found = curves.curve(name, curve_data)
    close = 0.002 if head == curves.machine() else 0.05  # two AVX512 machines differed by 0.001
    for now, before in zip(found, recorded, strict=True):
        assert losses(now) == pytest.approx(losses(before), abs=close)
