"""A training of the study as a job of the recipe multi30k: its settings, its data, its command."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import engine, records
from recipes.common import EVERY, PLUGIN
from recipes.datasets import find
from recipes.errors import Refused
from recipes.facts import facts
from recipes.job import Job
from recipes.processes import Processes
from recipes.shell import Shell

from teaforn_fairseq.unroll.schedule import parse_schedule
from translation_study.arms import Arm

RECIPE = "multi30k"
DATA_STAGES = ("download", "extract", "clean", "preprocess")
AVERAGED = {"SAVE_INTERVAL": "200", "AVERAGE": "10"}
# What the study's own options and arms say.
OURS = ("SRC", "TGT", "DATA", "OUT", "GPUS", "FP16", "SEED", "BEAMS", "MAX_UPDATE")
OURS += ("N", "DISCOUNT", "WEIGHTS", "FEEDBACK")


@dataclass(frozen=True)
class Place:
    """Where trainings are and on what they run.

    Attributes:
        work: folder of data, checkpoints and models.
        data: folder of the archives; None: they are downloaded, unless the data is there.
        gpu: CUDA, else the CPU.
        fp16: half precision.
        settings: further ones of the recipe.
    """

    work: Path
    data: Path | None = None
    gpu: bool = False
    fp16: bool = False
    settings: Mapping[str, str] | None = None

    @property
    def precision(self) -> str:
        """Of a training."""
        return "fp16" if self.fp16 else "fp32"


def data_of(work: Path, pair: str) -> Path:
    """The recipe's folder."""
    return work / "data" / pair


def job_of(place: Place, pair: str, arm: Arm, seed: int) -> Job:
    """The recipe with the settings of a training.

    Raises:
        Refused: a setting cannot be.
    """
    source, target = pair.split("-")
    entry = find(RECIPE)
    given = {
        **AVERAGED,
        **(place.settings or {}),
        **arm.settings,
        **{"SRC": source, "TGT": target, "OUT": str(data_of(place.work, pair))},
        **{"DATA": str(place.data or ""), "SEED": str(seed), "MAX_UPDATE": str(arm.updates)},
        **{"GPUS": str(int(place.gpu)), "FP16": str(int(place.fp16)), "BEAMS": "1"},
    }
    values = engine.values_of(RECIPE, entry, given)
    for name in place.settings or ():
        if name in OURS or name not in values.settings:
            known = " ".join(sorted(values.settings.keys() - set(OURS)))
            raise Refused(f"--set: must be settings of the recipe: {known}; received {name}.")
    engine.check(RECIPE, entry, values)
    interval = values.whole("SAVE_INTERVAL")
    if arm.updates % interval:
        raise Refused(
            f"--updates: must be a multiple of SAVE_INTERVAL={interval}, as the last checkpoint is"
            f" saved then; received {arm.updates}."
        )
    begins = parse_schedule("--teaforn-n", arm.settings["N"]).starts[-1]
    if begins >= arm.updates:
        raise Refused(
            f"--updates: must be above {begins}, from which the arm {arm.what} has its last N;"
            f" received {arm.updates}."
        )
    shell = Shell(Processes(dict(os.environ)), dry=False)
    return Job(RECIPE, entry, values, shell, arm.options)


def prepare(job: Job) -> None:
    """Make the binarised data of a pair, unless it is there.

    Raises:
        Refused: it cannot be made, or is there with other settings.
        Failed: a command failed.
    """
    made = records.result(job, "preprocess")
    if made.path.is_dir():
        records.check(job, made)
    else:
        engine.work(job, DATA_STAGES)


def digest(place: Place, pair: str, arm: Arm) -> str:
    """Of all that a training is made of, but for seed, folders and machine."""
    told = json.dumps(facts(job_of(place, pair, arm, 1), "average"), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def train_command(job: Job, folder: Path, resumed: Path | None) -> list[str]:
    """fairseq-train.

    Args:
        job: the training.
        folder: for checkpoints.
        resumed: the checkpoint with which it goes on; None: it begins.
    """
    updates = job.s["MAX_UPDATE"]
    words = ["fairseq-train", job.out / "data/bin", "--user-dir", PLUGIN, "--save-dir", folder]
    words += [*job.train_options(), *job.machine_options(), *EVERY, "--max-update", updates]
    words += ["--disable-validation", "--num-workers", "0"]
    words += ["--log-format", "json", "--log-interval", "100"]
    words += ["--restore-file", resumed] if resumed else []
    return [str(word) for word in words]


def generate_command(job: Job, model: Path, subset: str, beam: int) -> list[str]:
    """fairseq-generate."""
    words = ["fairseq-generate", job.out / "data/bin", "--user-dir", PLUGIN, "--path", model]
    words += ["--gen-subset", subset, "--beam", beam, *EVERY, *job.precision()]
    words += ["--max-tokens", job.s["GENERATE_TOKENS"], *job.recipe.generation]
    return [str(word) for word in words]
