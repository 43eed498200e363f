"""bench_step.py on a GPU: what it writes, and that time and memory are the device's."""

import json
import math
import sys

import pytest
import torch
from bench import cuda, steps
from bench.shapes import Setup, Shape
from bench.systems import parse_systems
from commands import CHECKOUT, ROOT, run

SMALL = Shape(1, 1, 16, 32, 2, 50)
SYSTEMS = "n1,n2-sample0.5,n2-every2,n3-recompute"


def require(dtype):
    setup = Setup(SMALL, 30, 6, dropout=0.1, seed=1, threads=1, device="cuda", dtype=dtype)
    try:
        cuda.require(setup.device, setup.dtype)
    except ValueError as error:
        pytest.skip(str(error))
    return setup


def assert_measured(rows):
    assert [row["system"] for row in rows] == ["stock", *SYSTEMS.split(",")]
    for row in rows:
        for name in ("seconds", "host_seconds"):
            assert len(row[name]) == 2 and all(0 < x < math.inf for x in row[name])
        assert row["peak_mb"] > 0
    assert rows[0]["peak_ratio"] == 1 and rows[0]["ratios"] == [1, 1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_system_is_measured(dtype):
    setup = require(dtype)
    run = steps.measure(setup, parse_systems(SYSTEMS), 2, memory_script=ROOT / "unused")
    assert_measured(run["rows"])


def test_the_command_names_the_card_and_writes_everything(tmp_path):
    printed = run(
        *(sys.executable, ROOT / "scripts/bench_step.py", "--device", "cuda"),
        *("--dtype", "float16", "--size", "tiny", "--systems", SYSTEMS, "--rounds", "2"),
        *("--profile", "--json", tmp_path / "step.json"),
        env=CHECKOUT,
    )
    result = json.loads((tmp_path / "step.json").read_text())
    card = torch.cuda.get_device_name()
    assert result["machine"]["gpu"] == card and f"{card}, " in printed
    assert result["machine"]["cuda"] == torch.version.cuda
    (measured,) = result["runs"]
    assert measured["setup"]["device"] == "cuda" and measured["setup"]["dtype"] == "float16"
    assert_measured(measured["rows"])
    assert all("aten::" in row["profile"] for row in measured["rows"])


def test_peak_memory_is_what_a_step_takes_and_gives_back():
    held = []  # a step's gradients, kept until the next

    def step(update):
        torch.empty(100 * 2**20, dtype=torch.uint8, device="cuda")
        held[:] = [torch.empty(50 * 2**20, dtype=torch.uint8, device="cuda")]

    assert cuda.peak_above_now(step, held.clear) == 150 * 2**20
    assert not held


def test_time_is_the_devices_and_not_the_hosts():
    torch.cuda._sleep(1)
    seconds, host = cuda.device_and_host(lambda: torch.cuda._sleep(200_000_000))
    assert 0.02 < seconds < 2 and host < seconds / 2
