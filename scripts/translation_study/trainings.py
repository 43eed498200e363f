"""The stage train: a training, resumed where it stopped, and the mean of its last checkpoints."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.output import write_whole
from recipes.job import Job
from recipes.lock import locked
from study.processes import logged
from training_log import records

from translation_study.arms import Arm, before, beginning
from translation_study.jobs import Place, digest, job_of, train_command

NUMBERED = re.compile(r"checkpoint_(?:\d+|last)_(\d+)\.pt")


@dataclass(frozen=True)
class Run:
    """An arm with a seed and a language pair.

    Attributes:
        place: where.
        pair: as in en-de.
        name: of the arm.
        arm: itself.
        seed: of the training.
    """

    place: Place
    pair: str
    name: str
    arm: Arm
    seed: int

    def __str__(self) -> str:
        return f"{self.pair} {self.name} seed {self.seed}"

    @property
    def job(self) -> Job:
        """The recipe's."""
        return job_of(self.place, self.pair, self.arm, self.seed)

    @property
    def folder(self) -> Path:
        """Checkpoints of a training, of one that has ended the last alone, and the log."""
        return self.place.work / "runs" / self.pair / f"{self.name}-{self.seed}"

    @property
    def model(self) -> Path:
        """The mean of its last checkpoints."""
        return self.place.work / "models" / self.pair / f"{self.name}-{self.seed}.pt"

    @property
    def digest(self) -> str:
        """Of its options, whatever the seed."""
        return digest(self.place, self.pair, self.arm)

    def begun(self) -> "Trained | None":
        """What was told about it when it began or ended; None: it has not begun."""
        for path in (self.model.with_suffix(".json"), self.folder / "training.json"):
            if path.exists():
                return Trained(**json.loads(path.read_text(encoding="utf-8")))
        return None


@dataclass(frozen=True)
class Trained:
    """What a model is made of.

    Attributes:
        options: digest of what the training was told.
        precision: fp16 or fp32.
        updates: of the training.
        seconds: that its updates took, next to whatever else ran; None: it has not ended, or none
            are known.
    """

    options: str
    precision: str
    updates: int
    seconds: float | None = None


def check(run: Run, *, training: bool) -> None:
    """Hold settings against their rules, and a run that has begun against what it would be now.

    Args:
        run: the run.
        training: whether it is to be trained now, with its place's precision.

    Raises:
        Refused: a setting cannot be.
        ValueError: it was told something else.
    """
    now, before = run.digest, run.begun()
    if before is None:
        return
    goes_on = training and not run.model.exists()
    if before.options != now or goes_on and before.precision != run.place.precision:
        raise ValueError(
            f"--work: {run.place.work} holds a training of {run} with other options than it has"
            f" now. Choose another folder, or remove {run.folder} and {run.model}."
        )


def train(run: Run) -> None:
    """Train and average, unless that has been done.

    Raises:
        ChildProcessError: a command failed.
        Ended: all have been ended; what was saved stays.
        Refused: another process trains it.
    """
    if run.model.exists():
        return
    with locked("--work", run.folder):
        if not run.model.exists():  # another may have ended just now
            train_alone(run)


def train_alone(run: Run) -> None:
    """Train and average, where no other process does."""
    told = Trained(run.digest, run.place.precision, run.arm.updates)
    write(run.folder / "training.json", told)
    job, log = run.job, run.folder / "log"
    saved = checkpoints(run.folder) or checkpoints_before(run)
    if max(saved, default=0) < run.arm.updates:
        logged(train_command(job, run.folder, saved[max(saved)] if saved else None), log)
        name_last(run)
        saved = checkpoints(run.folder)
    average(run, saved, job.s.whole("AVERAGE"))
    write(run.model.with_suffix(".json"), replace(told, seconds=seconds(run)))
    for updates in sorted(saved)[:-1]:  # from the last one a longer training goes on
        saved[updates].unlink()


def checkpoints(folder: Path) -> dict[int, Path]:
    """Those of a training, by updates."""
    found = ((NUMBERED.fullmatch(path.name), path) for path in folder.glob("*.pt"))
    return {int(match[1]): path for match, path in found if match}


def name_last(run: Run) -> None:
    """Give the checkpoint with which a training ended its updates in its name.

    fairseq does so itself, unless the training ends where an epoch does.
    """
    last = run.folder / "checkpoint_last.pt"
    if run.arm.updates in checkpoints(run.folder):
        last.unlink(missing_ok=True)
    elif last.exists():
        last.rename(run.folder / f"checkpoint_last_{run.arm.updates}.pt")


def checkpoints_before(run: Run) -> dict[int, Path]:
    """Those of the training that a run continues, if it is there and was told the same as this."""
    if run.arm.continues is None:
        return {}
    shorter = replace(run, name=run.arm.continues)
    told = shorter.begun()
    if told is None or told.precision != run.place.precision or told.updates >= run.arm.updates:
        return {}
    same = told.options == replace(run, arm=beginning(run.arm, told.updates)).digest
    return checkpoints(shorter.folder) if same else {}


def seconds(run: Run) -> float | None:
    """Of all its epochs and of the trainings that it continued; None: nothing has been logged."""
    folders = [replace(run, name=name).folder for name in (*before(run.arm), run.name)]
    logged_by = [records(folder / "log", "train") for folder in folders]
    walls = {x["epoch"]: float(x["train_train_wall"]) for found in logged_by for x in found}
    return sum(walls.values()) if walls else None


def average(run: Run, saved: dict[int, Path], count: int) -> None:
    """Write the model: the mean of the last checkpoints, whole or not at all.

    Raises:
        ChildProcessError: they are not there, or it failed.
    """
    last = sorted(saved)[-count:]
    if len(last) < count or last[-1] != run.arm.updates:
        raise ChildProcessError(
            f"{run}: must have {count} checkpoints up to update {run.arm.updates}; received"
            f" {' '.join(map(str, last)) or 'none'}, as fairseq numbers none where an epoch"
            f" ends. Change BATCH or SAVE_INTERVAL with --set. See {run.folder / 'log'}."
        )
    run.model.parent.mkdir(parents=True, exist_ok=True)
    partial = run.model.with_suffix(".partial")
    words = [sys.executable, "-m", "teaforn_fairseq.export", "--force"]
    words += [*(str(saved[updates]) for updates in last), str(partial)]
    # Not one of those that are ended with all others: it is short, and a training comes to it once.
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"{run}: averaging failed: {done.stdout}{done.stderr}")
    shutil.move(partial, run.model)


def write(path: Path, trained: Trained) -> None:
    """Keep what a training was told."""
    text = json.dumps(asdict(trained), indent=1) + "\n"
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
