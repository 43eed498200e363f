"""The settings that all data sets have, and what they must be together."""

import os
import shutil
import subprocess
from pathlib import Path

from recipes.errors import Refused
from recipes.rules import (
    anything,
    choice,
    number,
    numbers,
    positive,
    schedule,
    switch,
    weights,
    whole,
)
from recipes.settings import Default, Setting, Values

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "teaforn_fairseq"
RUNS = ROOT / "runs"
EVERY = ("--required-batch-size-multiple", "1")  # or fairseq leaves the last sentences out
# A file each, named as on the command line.
FEEDBACKS = sorted({x.stem for x in (PLUGIN / "feedbacks").glob("[!_]*.py")} - {"base"})
LONGEST = 1023  # subwords: fairseq's 1,024 positions less one for the end of sentence


def count_gpus() -> str:
    """GPUs that nvidia-smi lists."""
    if not shutil.which("nvidia-smi"):
        return "0"
    command = ["nvidia-smi", "--list-gpus"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return str(sum(line.startswith("GPU") for line in done.stdout.splitlines()))


SETTINGS = (
    Setting("MIRROR", "", "address to take all archives from, by their name; empty: their homes",
            anything),
    Setting("DATA", "", "folder that holds the archives; empty: download them", anything),
    Setting("CHECKSUMS", "",
            "file of lines 'SHA256  NAME' that stands in for the published check sums", anything),
    Setting("CHECK_DISK", "1", "0: only tell the disk that a stage needs", switch()),
    Setting("OUT", "", "where everything is written", anything),
    Setting("MAX_WORDS", "0", "words of a sentence in training, 0: any", whole(), "clean"),
    Setting("RATIO", "0", "ratio of the characters of both sides, 0: any",
            number(lambda x: x == 0 or x >= 1, "0 or at least 1"), "clean"),
    Setting("DEDUPE", "0", "1: keep the first of equal pairs", switch(), "clean"),
    Setting("LOWERCASE", "0", "1: train and generate in lower case", switch(), "clean"),
    Setting("VOCAB", "32000", "joint subwords", whole(4), "preprocess"),
    Setting("SPM_SENTENCES", "0", "learn the subwords from so many sentences, 0: from all",
            whole(), "preprocess"),
    Setting("MAX_SUBWORDS", str(LONGEST),
            "of a side; longer pairs are left out of training and validation, and counted",
            whole(1), "preprocess"),
    Setting("WORKERS", "1", "processes of the stage preprocess", whole(1)),
    Setting("N", "2", "unroll steps; 1 is teacher forcing",
            schedule(whole(1), "a number from 1 on, a schedule or full", "full"), "train"),
    Setting("DISCOUNT", "0.5", "weight of step i is DISCOUNT^(i-1)",
            schedule(number(lambda x: 0 <= x <= 1, "from 0 to 1"),
                     "a number from 0 to 1 or a schedule"), "train"),
    Setting("WEIGHTS", "", "of the steps one by one, as in 1,1,3, and win over DISCOUNT; empty: by"
            " DISCOUNT", weights, "train"),
    Setting("FEEDBACK", "", "as --teaforn-feedback; empty: hidden",
            choice(*FEEDBACKS), "train"),
    Setting("GPUS", lambda _: count_gpus(), "of this machine; 0: CPU", whole()),
    Setting("BATCH", "4096", "effective batch: tokens an update, kept when GPUS changes",
            whole(1), "train"),
    Setting("MAX_TOKENS", "4096", "of a batch on one GPU, source or target, whichever has more",
            whole(1)),
    Setting("UPDATE_FREQ", "", "batches a GPU adds up; empty: BATCH / (GPUS x MAX_TOKENS)",
            whole(1)),
    Setting("FP16", lambda s: str(int(s.whole("GPUS") > 0)), "1: half precision, 0: not",
            switch()),
    Setting("MAX_UPDATE", "100000", "updates", whole(1)),
    Setting("SAVE_INTERVAL", "1000", "updates between two checkpoints", whole(1), "train"),
    Setting("AVERAGE", "0", "last checkpoints to average; 0: the one with the lowest nll_loss",
            whole(), "train"),
    Setting("SEED", "1", "of the random choices", whole(), "train"),
    Setting("BEAMS", "1 4", "beams to generate with", numbers),
    Setting("GENERATE_TOKENS", "4096", "source tokens of a batch in generation", whole(1)),
)  # fmt: skip
SUBWORDS = ("VOCAB", "SPM_SENTENCES")  # where they are learned


def learning_rate(default: Default) -> Setting:
    """``LR``."""
    return Setting("LR", default, "learning rate", positive, "train")


def warm_up(default: str) -> Setting:
    """``WARMUP``; inverse_sqrt divides by it."""
    return Setting("WARMUP", default, "updates", whole(1), "train")


def check(s: Values) -> None:
    """Every mistake that can be seen before work, and UPDATE_FREQ from the effective batch.

    Raises:
        Refused: the first one.
    """
    s.check_all()
    if s["N"] == "1" and s["FEEDBACK"]:
        raise Refused(f"FEEDBACK={s['FEEDBACK']}: does nothing with N=1. Leave it out, or raise N.")
    check_weights(s)
    if s.on("FP16") and s["GPUS"] == "0":
        raise Refused("FP16=1: needs a GPU; received GPUS=0.")
    if s["DATA"] and not os.path.isdir(s["DATA"]):
        raise Refused(f"DATA={s['DATA']}: no such folder.")
    if s["CHECKSUMS"] and not Path(s["CHECKSUMS"]).is_file():
        raise Refused(f"CHECKSUMS={s['CHECKSUMS']}: no such file.")
    updates, interval = s.whole("MAX_UPDATE"), s.whole("SAVE_INTERVAL")
    if s.whole("AVERAGE") * interval > updates:
        raise Refused(
            f"AVERAGE={s['AVERAGE']}: {updates} updates leave {updates // interval} checkpoints,"
            f" one every SAVE_INTERVAL={interval}. Average fewer or save more often."
        )
    fit_batch(s)


def check_weights(s: Values) -> None:
    """One way to weigh the steps, and a weight for each.

    Raises:
        Refused: another number of weights, or weights or discount that do nothing.
    """
    if s["WEIGHTS"] and str(s["WEIGHTS"].count(",") + 1) != s["N"]:
        raise Refused(f"WEIGHTS={s['WEIGHTS']}: needs a weight for each step; received N={s['N']}.")
    if s.given("DISCOUNT") and (s["N"] == "full" or s["WEIGHTS"]):
        other = "N=full" if s["N"] == "full" else f"WEIGHTS={s['WEIGHTS']}"
        raise Refused(f"DISCOUNT={s['DISCOUNT']}: does nothing with {other}. Leave it out.")


def fit_batch(s: Values) -> None:
    """UPDATE_FREQ from the effective batch, or the effective batch from a given UPDATE_FREQ.

    Raises:
        Refused: they do not fit.
    """
    processes, tokens, batch = processes_of(s), s.whole("MAX_TOKENS"), s.whole("BATCH")
    if s["UPDATE_FREQ"]:
        s["BATCH"] = str(processes * tokens * s.whole("UPDATE_FREQ"))
        return
    if batch % tokens:
        raise Refused(
            f"MAX_TOKENS={tokens}: must divide the effective batch BATCH={batch}, or set"
            " UPDATE_FREQ, which wins."
        )
    batches = batch // tokens
    if batches % processes:
        fit = " ".join(str(x) for x in range(1, batches + 1) if batches % x == 0)
        raise Refused(
            f"GPUS={processes}: must divide the {batches} batches of MAX_TOKENS={tokens} that make"
            f" up BATCH={batch}. These fit: {fit}. Or set UPDATE_FREQ, which wins."
        )
    s["UPDATE_FREQ"] = str(batches // processes)


def processes_of(s: Values) -> int:
    """Training processes: one for each GPU, or one on the CPU."""
    return s.whole("GPUS") or 1
