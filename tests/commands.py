"""The real command lines, as a user types them."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from forks import BIN as BIN
from forks import Fork, can_fork, environment

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "teaforn_fairseq"
TWIN = ["--arch", "teaforn_transformer_tiny"]
TINY = [
    *("--max-tokens", "800"),
    *("--optimizer", "adam", "--lr", "0.005", "--lr-scheduler", "inverse_sqrt"),
    *("--warmup-updates", "10", "--required-batch-size-multiple", "1", "--cpu"),
    *("--log-format", "json", "--log-interval", "1", "--no-epoch-checkpoints"),
]
TRANSLATION = ["--share-all-embeddings"]
# In front of what the packages may be found by.
CHECKOUT = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])])}
TEAFORN = ["--criterion", "teaforn_cross_entropy", "--label-smoothing", "0.1"]
# Stock and ours draw other random numbers; without any they log the same.
NO_DROPOUT = ["--dropout", "0", "--attention-dropout", "0"]
ONCE = [*NO_DROPOUT, "--max-update", "1", "--no-save", "--disable-validation"]
STOCK = ["--arch", "transformer_tiny", "--criterion", "label_smoothed_cross_entropy"]
FRESH = ["--reset-optimizer", "--reset-dataloader", "--reset-meters", "--reset-lr-scheduler"]


def run(*command, cwd=None, stdin=None, env=None, fails=False, process=False):
    """Run a command of this environment; return what it printed, on both streams.

    fairseq's commands are forks, which saves the seconds of their imports, unless they are to be
    a ``process`` of their own, read ``stdin``, or find more in ``env`` than an import path.

    Raises:
        AssertionError: it failed, or with ``fails`` it succeeded.
    """
    words = [str(word) for word in command]
    plain = stdin is None and (env or {}).keys() <= CHECKOUT.keys()
    if plain and can_fork(words) and not process:
        with tempfile.TemporaryDirectory() as folder:
            return Fork(words, f"{folder}/log", cwd=cwd, env=env).finish(fails=fails)
    done = subprocess.run(
        words,
        cwd=cwd,
        input=stdin,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(env),
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


class Training(Fork):
    """A running fairseq-train, to be killed or waited for."""

    def __init__(self, data, save_dir, *options, log, task=(*TWIN, *TRANSLATION)):
        words = ["fairseq-train", data, "--user-dir", PLUGIN, *task, "--save-dir", save_dir]
        super().__init__([*words, *TINY, *options], log)

    def wait_for_updates(self, count):
        """Until its log shows so many, or it ends."""
        while self.process.is_alive() and self.log.read_text().count("| train_inner |") < count:
            time.sleep(0.005)

    def finish(self, seconds=240, fails=False):
        """Wait for its end; return its log's records, or with ``fails`` what it printed."""
        printed = super().finish(seconds, fails)
        return printed if fails else log_records(printed)


def log_records(out):
    """The JSON records of a fairseq-train log, by kind."""
    records = {}
    for line in out.splitlines():
        head, brace, record = line.partition("{")
        kind = head.split("|")[2].strip() if head.count("|") == 3 else None
        if brace and kind in ("train_inner", "train", "valid"):
            records.setdefault(kind, []).append(json.loads(brace + record))
    return records


def first_loss(records):
    """The first update's loss of step 1, before anything is learned."""
    return records["train_inner"][0]["nll_loss"]


def values(records):
    """What is logged for each update, speed and wall clock aside, by the update's number.

    Raises:
        AssertionError: an update was made twice.
    """
    times = ("wps", "ups", "wall", "train_wall")
    found = {r["num_updates"]: {k: x for k, x in r.items() if k not in times} for r in records}
    assert len(found) == len(records)
    return found


def refusal(data, save_dir, *options):
    """What fairseq-train prints on ending before any update and before it saves anything."""
    command = ("fairseq-train", data, "--user-dir", PLUGIN, *TWIN, "--save-dir", save_dir)
    out = run(*command, *TINY, "--max-update", "3", *options, fails=True)
    assert "num_updates" not in out and not any(save_dir.glob("*")), out
    return out


def generate(data, checkpoint, *options):
    """fairseq-generate on the whole test set; its S-, T-, H-, D- and P-lines."""
    out = run(
        *("fairseq-generate", data, "--path", checkpoint, "--cpu", "--max-tokens", "800"),
        *("--required-batch-size-multiple", "1", *options),
    )
    return [line for line in out.splitlines() if line[:2] in ("S-", "T-", "H-", "D-", "P-")]


def beams(*words, **kwargs):
    """teaforn-beams of this checkout, installed or not; what it printed."""
    return run("python", "-m", "teaforn_fairseq.beams", *words, **{"env": CHECKOUT, **kwargs})


def export(*words, **kwargs):
    """teaforn-export of this checkout, installed or not; what it printed."""
    return run("python", "-m", "teaforn_fairseq.export", *words, env=CHECKOUT, **kwargs)
