"""The tests and measurements that need a GPU, with the Python that runs this and its packages.

Runs tests/gpu, measures training steps with bench_step.py at base and big in half precision (base
in float32 too), and writes gpu-CARD.json and gpu-CARD.md, anew after each part, so that what is
done is kept. Takes some minutes. It fails if a test or a measurement did.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import gpu_results

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = "n1,n2,n3,n2-sample0.25,n2-every4,n3-recompute"
POINTS = [
    *(("base", "float16"), ("base", "bfloat16")),
    *(("big", "float16"), ("big", "bfloat16"), ("base", "float32")),
]
ROUNDS, QUICK_ROUNDS, QUICK_POINTS = 20, 5, 2


def main() -> None:
    """Check the machine, run each part, write after each."""
    args = make_parser().parse_args()
    if not args.out.is_dir():
        raise SystemExit(f"error: --out: must be a folder that is there; received {args.out}.")
    require_cuda()
    from bench import machine  # needs torch

    about = machine.describe("cuda")
    print(machine.in_words(about), flush=True)
    write = partial(gpu_results.write, args.out, quick=args.quick)
    result = {"benchmark": "gpu", "commit": args.commit or git_commit(), **about}
    result |= {"tests": None, "runs": [], "failed": []}
    if args.tests:
        result["tests"] = run_tests()
        write(result)
    for size, dtype in POINTS[:QUICK_POINTS] if args.quick else POINTS:
        run = run_step(size, dtype, QUICK_ROUNDS if args.quick else ROUNDS)
        result["runs"] += run
        result["failed"] += [] if run else [f"{size}, {dtype}"]
        write(result)
    paths = gpu_results.paths(args.out, result, args.quick)
    print(f"wrote {', '.join(map(str, paths))}")
    if result["failed"] or (result["tests"] or {}).get("exit_status"):
        raise SystemExit("error: tests or measurements failed; see above.")


def make_parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="gpu_check.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "docs/results",
        metavar="FOLDER",
        help="where the results go (default: docs/results of this checkout)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"base in float16 and bfloat16 alone, {QUICK_ROUNDS} rounds in place of {ROUNDS};"
        " writes gpu-CARD-quick",
    )
    parser.add_argument(
        "--tests",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run tests/gpu (default: --tests)",
    )
    parser.add_argument(
        "--commit", help="what is checked, where git does not know (default: git's HEAD)"
    )
    return parser


def require_cuda() -> None:
    """Stop in one sentence where there is nothing to check."""
    found = "no torch"
    if find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return
        found = f"torch {torch.__version__}, which finds none"
    raise SystemExit(
        f"error: gpu_check.sh needs a GPU and a PyTorch that can use it; received {found}."
    )


def git_commit() -> str | None:
    """The checkout's commit, marked if files differ from it; None without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    command += ["--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def run_tests() -> dict[str, Any]:
    """Run tests/gpu; how many passed, failed and were skipped."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "tests.xml")
        command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, check=False)
        return {"exit_status": done.returncode, **gpu_results.count_tests(report)}


def run_step(size: str, dtype: str, rounds: int) -> list[dict[str, Any]]:
    """Measure one size and precision in a process of its own; nothing if that failed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "step.json")
        command = [sys.executable, str(ROOT / "scripts/bench_step.py"), "--device", "cuda"]
        command += ["--size", size, "--dtype", dtype, "--tokens", "4096", "--systems", SYSTEMS]
        command += ["--rounds", str(rounds), "--json", str(path)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return []
        return gpu_results.read_runs(path)


if __name__ == "__main__":
    main()
