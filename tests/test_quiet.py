"""What other packages are known to warn of at every start is not shown; all else is."""

import os
import re
import subprocess
import sys

import pytest
from commands import BIN, CHECKOUT, PLUGIN, ROOT, TEAFORN, TINY, TRANSLATION, TWIN

# Said before --user-dir is imported.
BEFORE_THE_PLUGIN = {
    "INFO:fairseq.tasks.text_to_speech:Please install tensorboardX: pip install tensorboardX"
}
TORCHSCRIPT = re.compile(
    r".*: FutureWarning: `torch.jit.script` is deprecated.*\n  warnings.warn\(\n"
)
USER = [*TWIN, "--user-dir", PLUGIN]


def stderr_of(*words):
    done = subprocess.run(
        [str(word) for word in words],
        text=True,
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **CHECKOUT},
    )
    return done.stderr


def test_training_prints_its_log_alone(data, tmp_path):
    words = ["fairseq-train", data, *USER, *TRANSLATION, *TEAFORN, *TINY, "--max-update", "1"]
    assert TORCHSCRIPT.sub("", stderr_of(*words, "--save-dir", tmp_path)) == ""


@pytest.mark.parametrize("command", ["fairseq-generate", "fairseq-interactive"])
def test_generation_prints_its_log_alone(data, trained, command):
    words = [command, data, "--user-dir", PLUGIN, "--path", trained[0] / "checkpoint_last.pt"]
    lines = TORCHSCRIPT.sub("", stderr_of(*words, "--cpu", "--beam", "1")).splitlines()
    assert all(line.startswith("INFO:fairseq") for line in lines if "teaforn" not in line), lines
    first = next(number for number, line in enumerate(lines) if "fairseq_cli" in line)
    assert set(lines[:first]) <= BEFORE_THE_PLUGIN


def test_export_prints_no_line_of_others(trained, tmp_path):
    checkpoint = trained[0] / "checkpoint_last.pt"
    words = ["python", "-m", "teaforn_fairseq.export", checkpoint, tmp_path / "out.pt"]
    assert stderr_of(*words) == ""


@pytest.mark.parametrize("script", ["bench_generate", "bench_step", "report"])
def test_our_scripts_print_no_line_of_others(script):
    assert stderr_of("python", ROOT / f"scripts/{script}.py", "--help") == ""


UNKNOWN = """
import logging, warnings, teaforn_fairseq
warnings.simplefilter("default", append=True)
warnings.warn("hydra.experimental.compose() is no longer experimental", UserWarning)
warnings.warn("hydra.experimental.compose() is no longer experimental", DeprecationWarning)
warnings.warn("compose() is no longer experimental: something new", UserWarning)
logging.getLogger("hydra.core.utils").warning("Setting up failed")
"""


def test_what_is_not_known_is_shown():
    printed = stderr_of(sys.executable, "-c", UNKNOWN)
    assert printed.count("Warning: ") == 2
    assert "DeprecationWarning: hydra.experimental.compose() is no longer" in printed
    assert "UserWarning: compose() is no longer experimental: something new" in printed
    assert "Setting up failed" in printed
