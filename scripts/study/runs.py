"""One training of the study: until it solves the task or has had its updates, and its score."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from recipes.common import PLUGIN
from training_log import curves, records

from study.cells import STARS, Cell
from study.data import data_of
from study.models import model_options
from study.processes import logged, printed

CHECKED = 50  # updates between two validations
SOLVED = 0.95  # of whole paths
VALID = "| valid | "

Curve = list[tuple[int, int, float]]  # update, step, tokens right in percent


@dataclass(frozen=True)
class Run:
    """What came of a cell with a seed.

    Attributes:
        cell: its name.
        seed: of the training.
        solved: updates at the first validation that shows SOLVED of whole paths; None: never.
            Free running, whose validation is not greedy search's, is asked at its end alone.
        updates: that it had.
        paths: share of the test's whole paths right by greedy search, in percent.
        accuracy: tokens of the last validation that each step has right, in percent, step 1 first.
        options: digest of the training's options but for seed and updates.
        device: cpu or cuda.
    """

    cell: str
    seed: int
    solved: int | None
    updates: int
    paths: float
    accuracy: list[float]
    options: str
    device: str = "cpu"


def train(name: str, cell: Cell, seed: int, work: Path, device: str = "cpu") -> tuple[Run, Curve]:
    """Train and test; what was begun goes on.

    Args:
        name: of the cell.
        cell: the cell.
        seed: of the training.
        work: folder of data and checkpoints.
        device: cpu or cuda.

    Returns:
        What came of it, and its validations.
    """
    data, run = data_of(cell, work), work / "runs" / f"{name}-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    log, enough = run / "log", needed_accuracy(cell)
    if not ended(log, enough, cell.updates):
        until_solved([*command(cell, seed, data, run), *on(device)], log, enough)
    valid = records(log, "valid")
    paths = whole_paths(cell, data, run, device)
    right = [x["num_updates"] for x in valid if float(x["valid_accuracy_1"]) >= enough]
    if cell.n == "full" and paths >= 100 * SOLVED:
        right = [valid[-1]["num_updates"]]
    accuracy = curves(valid, "valid_accuracy")
    result = Run(
        cell=name,
        seed=seed,
        solved=min(right, default=None),
        updates=valid[-1]["num_updates"],
        paths=paths,
        accuracy=[curve[-1][1] for curve in accuracy.values()],
        options=digest(cell),
        device=device,
    )
    return result, [(x, step, y) for step, curve in accuracy.items() for x, y in curve]


def digest(cell: Cell) -> str:
    """Of what a training is told, but for folders, seed and number of updates."""
    words = " ".join([*model_options(cell), *cell.options()])
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def ended(log: Path, enough: float, updates: int) -> bool:
    """Whether a training has solved the task or had its updates."""
    valid = records(log, "valid")
    best = max((float(x["valid_accuracy_1"]) for x in valid), default=0)
    return best >= enough or bool(valid) and valid[-1]["num_updates"] >= updates


def needed_accuracy(cell: Cell) -> float:
    """Percent of tokens right that leave no room for more than 1 - SOLVED of paths being wrong.

    A path of l nodes has l + 1 tokens, its end included, and greedy search finds it whole exactly
    where teacher forcing has all of them right. Out of reach for free running.
    """
    if cell.n == "full":
        return math.inf
    return 100 - 100 * (1 - SOLVED) / (STARS[cell.stars].length + 1)


def command(cell: Cell, seed: int, data: Path, run: Path) -> list[str]:
    """fairseq-train and its options."""
    words = ["fairseq-train", data, "--user-dir", PLUGIN, "--save-dir", run]
    words += ["--criterion", "teaforn_cross_entropy", "--report-accuracy", "--seed", seed]
    words += [*model_options(cell), *cell.options(), "--max-update", cell.updates]
    words += ["--required-batch-size-multiple", "1", "--log-format", "json"]
    # No thread that reads ahead, as in the recipes.
    words += ["--num-workers", "0", "--data-buffer-size", "0"]
    words += ["--log-interval", CHECKED, "--validate-interval-updates", CHECKED]
    words += ["--save-interval-updates", CHECKED, "--keep-interval-updates", "1"]
    words += ["--no-epoch-checkpoints"]
    return [str(word) for word in words]


def on(device: str) -> list[str]:
    """Options of fairseq's commands for one device."""
    return ["--cpu"] if device == "cpu" else ["--distributed-world-size", "1"]


def until_solved(words: list[str], log: Path, enough: float) -> None:
    """Run a training, and end it once a validation is good enough and a checkpoint is saved.

    Args:
        words: the command.
        log: what it prints is added to this file.
        enough: percent of tokens that step 1 must have right.

    Raises:
        ChildProcessError: it failed.
        Ended: all have been ended.
    """
    solved = False

    def saved(line: str) -> bool:
        nonlocal solved
        if VALID in line:
            record = json.loads(line.partition(VALID)[2])
            solved |= float(record["valid_accuracy_1"]) >= enough
        return solved and "Saved checkpoint" in line

    logged(words, log, saved)


def whole_paths(cell: Cell, data: Path, run: Path, device: str) -> float:
    """Percent of the test's paths that greedy search finds whole.

    Raises:
        ChildProcessError: fairseq-generate failed.
        Ended: all have been ended.
    """
    stars, prompt = STARS[cell.stars], 0
    found = ["fairseq-generate", data, "--user-dir", PLUGIN, "--path", run / "checkpoint_last.pt"]
    found += [
        "--beam",
        "1",
        "--batch-size",
        "128",
        *on(device),
        "--required-batch-size-multiple",
        "1",
    ]
    if cell.family == "transformer_lm":
        prompt = stars.source_tokens(cell.form) + 1
        found += ["--task", "language_modeling", "--sample-break-mode", "eos"]
        found += ["--prefix-size", prompt]
    found += ["--max-len-b", prompt + stars.length + 1]  # what is longer is no path
    told = run / "generated"
    printed([str(word) for word in found], told)
    text = told.read_text(encoding="utf-8")
    told.unlink()
    lines = [line.split("\t") for line in text.split("\n") if line[:2] in ("T-", "H-")]
    target, hypothesis = (
        {kind[2:]: words[-1] for kind, *words in lines if kind.startswith(x)} for x in ("T-", "H-")
    )
    right = sum(hypothesis[number] == target[number] for number in target)
    return round(100 * right / len(target), 1)
