"""Half precision in bench_step.py, and what gpu_check.sh does and writes, without a GPU."""

import json
import sys

import pytest
import torch
from bench import gpu_results
from bench.models import ARCH, TWIN, make_batch, make_model, make_task, stock_step, twin_step
from bench.shapes import Setup, Shape
from bench.systems import parse_system
from commands import CHECKOUT, ROOT, run

SMALL = Shape(1, 1, 16, 32, 2, 50)
FLAGS = [
    *("--encoder-layers", "1", "--decoder-layers", "1", "--width", "16", "--ffn", "32"),
    *("--heads", "2", "--vocabulary", "50", "--tokens", "30", "--longest", "6", "--threads", "1"),
]
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def gradients(system, dtype):
    """Every gradient of one step as one float32 vector, and the parameters' dtypes."""
    setup = Setup(SMALL, tokens=30, longest=6, dropout=0.0, seed=1, threads=1, dtype=dtype)
    task = make_task(SMALL.vocabulary)
    model = make_model(task, setup, TWIN if system else ARCH)
    batch = make_batch(task, setup)
    system = parse_system(system) if system else None
    step = twin_step(task, model, batch, system) if system else stock_step(task, model, batch)
    step(0)
    vector = torch.cat([x.grad.float().flatten() for x in model.parameters()])
    return vector, {x.dtype for x in model.parameters()}


@pytest.mark.parametrize("system", [None, "n2"])
@pytest.mark.parametrize("dtype, scale", [("float16", 128), ("bfloat16", 1)])
def test_half_precision_is_that_of_fairseq_train(system, dtype, scale):
    whole, _ = gradients(system, "float32")
    half, dtypes = gradients(system, dtype)
    assert dtypes == {getattr(torch, dtype)}
    assert (half - scale * whole).norm() < 0.03 * scale * whole.norm()
    assert not torch.equal(half, scale * whole)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What gpu_check.py would put together, from a run of bench_step.py on the CPU."""
    path = tmp_path_factory.mktemp("bench") / "step.json"
    run(
        *("python", ROOT / "scripts/bench_step.py", *FLAGS, "--systems", "n1,n2-every4"),
        *("--rounds", "2", "--no-memory", "--dtype", "bfloat16", "--json", path),
        env=CHECKOUT,
    )
    about = json.loads(path.read_text())
    card = {"gpu": "NVIDIA H100 80GB HBM3", "gpu_mb": 81920, "driver": None, "cuda": "13.0"}
    return {
        **{x: about[x] for x in ("versions", "date")},
        "machine": about["machine"] | card,
        "commit": None,
        "tests": {"exit_status": 0, "passed": 3, "failed": 0, "skipped": 1},
        "runs": gpu_results.read_runs(path),
        "failed": ["big, float16"],
    }


def test_the_results_of_a_card_are_written_whole_and_replaced(result, tmp_path):
    gpu_results.write(tmp_path, {**result, "runs": []})
    gpu_results.write(tmp_path, result)
    name = "gpu-nvidia-h100-80gb-hbm3"
    assert sorted(x.name for x in tmp_path.iterdir()) == [f"{name}.json", f"{name}.md"]
    assert json.loads((tmp_path / f"{name}.json").read_text()) == result
    lines = (tmp_path / f"{name}.md").read_text().splitlines()
    assert "- `tests/gpu`: 3 passed, 0 failed, 1 skipped" in lines
    assert "- failed to measure: big, float16" in lines
    assert "## width 16, bfloat16" in lines
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    assert table[0] == gpu_results.HEADS and len(set(map(len, table))) == 1
    assert [row[0] for row in table[2:]] == ["stock", "n1", "n2-every4"]
    assert table[2][1:6] == ["1.00"] * 5 and float(table[2][6]) > 0
    assert table[2][7:] == ["-"] * 3  # the CPU's run has neither


def test_tests_are_counted_from_the_report_of_pytest(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): pass\n"
        "def test_c(): assert False\n"
        "def test_d(unknown): pass\n"
        "@pytest.mark.skip(reason='')\n"
        "def test_e(): pass\n"
    )
    command = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml"]
    run(*command, cwd=tmp_path, fails=True)
    counted = gpu_results.count_tests(tmp_path / "report.xml")
    assert counted == {"passed": 2, "failed": 2, "skipped": 1}
    assert set(gpu_results.count_tests(tmp_path / "none.xml").values()) == {0}


@without_gpu
def test_the_check_refuses_a_machine_without_a_gpu(tmp_path):
    place = {"PYTHON": sys.executable}
    out = run(ROOT / "scripts/gpu_check.sh", "--out", tmp_path, env=place, fails=True)
    assert out == (
        "error: gpu_check.sh needs a GPU and a PyTorch that can use it; received torch"
        f" {torch.__version__}, which finds none.\n"
    )
    assert not list(tmp_path.iterdir())


@without_gpu
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    words = ["--device", "cuda", "--json", tmp_path / "step.json"]
    out = run("python", ROOT / "scripts/bench_step.py", *words, env=CHECKOUT, fails=True)
    assert out.endswith(
        "bench_step.py: error: --device: cuda needs a GPU and a PyTorch that can use it; received"
        f" cuda with torch {torch.__version__}, which finds none. Choose cpu, or install a torch"
        " for CUDA.\n"
    )
    assert not list(tmp_path.iterdir())
