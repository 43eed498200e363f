"""The real command lines, as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "teaforn_fairseq"
BIN = Path(sys.executable).parent
TWIN = ["--arch", "teaforn_transformer_tiny"]
TINY = [
    *("--max-tokens", "800"),
    *("--optimizer", "adam", "--lr", "0.005", "--lr-scheduler", "inverse_sqrt"),
    *("--warmup-updates", "10", "--required-batch-size-multiple", "1", "--cpu"),
    *("--log-format", "json", "--log-interval", "1", "--no-epoch-checkpoints"),
]
TRANSLATION = ["--share-all-embeddings"]
CHECKOUT = {"PYTHONPATH": str(ROOT)}
TEAFORN = ["--criterion", "teaforn_cross_entropy", "--label-smoothing", "0.1"]
# Stock and ours draw other random numbers; without any they log the same.
NO_DROPOUT = ["--dropout", "0", "--attention-dropout", "0"]


def run(*command, cwd=None, stdin=None, env=None, fails=False):
    """Run a command of this environment; return what it printed, on both streams.

    Raises:
        AssertionError: it failed, or with ``fails`` it succeeded.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        input=stdin,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **(env or {})},
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def train(data, save_dir, *options, user_dir=PLUGIN, task=TRANSLATION, **kwargs):
    """fairseq-train; return its log's records, by kind ("train_inner", "valid", ...).

    Without ``user_dir`` it is plain fairseq, which needs its own ``--arch``.
    """
    plugin = ["--user-dir", user_dir, *TWIN] if user_dir else []
    tiny = [*TINY, *task]
    out = run("fairseq-train", data, *plugin, "--save-dir", save_dir, *tiny, *options, **kwargs)
    return log_records(out)


def log_records(out):
    """The JSON records of a fairseq-train log, by kind."""
    records = {}
    for line in out.splitlines():
        head, brace, record = line.partition("{")
        kind = head.split("|")[2].strip() if head.count("|") == 3 else None
        if brace and kind in ("train_inner", "train", "valid"):
            records.setdefault(kind, []).append(json.loads(brace + record))
    return records


def generate(data, checkpoint, *options):
    """fairseq-generate on the whole test set; its S-, T-, H-, D- and P-lines."""
    out = run(
        *("fairseq-generate", data, "--path", checkpoint, "--cpu", "--max-tokens", "800"),
        *("--required-batch-size-multiple", "1", *options),
    )
    return [line for line in out.splitlines() if line[:2] in ("S-", "T-", "H-", "D-", "P-")]


def export(*words, **kwargs):
    """teaforn-export of this checkout, installed or not; what it printed."""
    return run("python", "-m", "teaforn_fairseq.export", *words, env=CHECKOUT, **kwargs)
