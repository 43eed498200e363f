"""The stage train."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from recipes import files, records
from recipes.common import EVERY, PLUGIN, ROOT, count_gpus
from recipes.errors import Failed, Refused
from recipes.job import Job
from recipes.limits import check_lengths
from recipes.prepare import made_before
from recipes.shell import Word


def train(job: Job) -> None:
    """fairseq-train, resumed where it stopped."""
    if command := begin(job):
        job.shell.note(f"training {job.run}")
        with finishing([job]):
            job.shell.run(*command)


def begin(job: Job) -> tuple[Word, ...]:
    """The folder and the record of a run; its command, or () if it is complete.

    Raises:
        Refused: something does not fit.
    """
    made_before(job, "preprocess")
    s, run = job.s, job.run
    if not job.shell.dry and s.whole("GPUS") > int(count_gpus()):
        raise Refused(
            f"GPUS={s['GPUS']}: this machine has {count_gpus()}. Set GPUS to at most that; the"
            " effective batch stays."
        )
    device = "1 CPU process" if s["GPUS"] == "0" else f"{s['GPUS']} GPUs"
    job.shell.tell(
        f"effective batch: at most {s['BATCH']} tokens an update = {device} x"
        f" MAX_TOKENS={s['MAX_TOKENS']} x UPDATE_FREQ={s['UPDATE_FREQ']}"
    )
    check_lengths(job, "MAX_TOKENS", ("train", "valid"))
    made = records.result(job, "train")
    if begun(job):
        records.check(job, made)
        if _complete(job):
            return ()
    else:
        job.shell.folder(run)
        records.write(job, made)
    command = ("fairseq-train", job.out / "data/bin", "--user-dir", PLUGIN, "--save-dir", run)
    command += ("--max-update", s["MAX_UPDATE"], *EVERY, *job.machine_options())
    return (*command, *job.train_options())


@contextmanager
def finishing(jobs: Sequence[Job]) -> Iterator[None]:
    """Mark trainings as complete when they have run.

    Raises:
        Refused: one failed. Those that have saved nothing leave no record.
    """
    try:
        yield
    except Failed as error:
        for job in jobs:
            if not begun(job):
                records.result(job, "train").record.unlink()
        runs = " and ".join(str(job.run) for job in jobs)
        raise Refused(
            f"training stopped, for the reason above. What it saved in {runs} is whole: run again"
            " and it goes on from there."
        ) from error
    for job in jobs:
        if not job.shell.dry:
            files.write(job.run / "trained", f"{job.s['MAX_UPDATE']}\n")


def begun(job: Job) -> bool:
    """Whether a training has left something that its settings describe."""
    return not job.shell.dry and any(job.run.glob("checkpoint*.pt"))


def trained(job: Job) -> int:
    """Updates after which the training was complete, 0 if it was not."""
    path = job.run / "trained"
    text = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return int(text) if text.isdecimal() else 0


def _complete(job: Job) -> bool:
    """Whether there are as many updates as are wanted; marks a training that was killed between its
    last checkpoint and its mark, or ran elsewhere.

    Raises:
        Refused: there are more.
    """
    wanted, last = job.s.whole("MAX_UPDATE"), job.run / "checkpoint_last.pt"
    if trained(job) == wanted:
        return True
    if not last.exists():
        return False
    code = "import pathlib, report, sys; print(report.training(pathlib.Path(sys.argv[1]))[1])"
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); "
    status, out = job.shell.read("python", "-c", path + code, last)
    if status:
        raise Failed(status)
    updates = int(out.split()[-1])
    if updates > wanted:
        records.refuse(records.result(job, "train"), [f"MAX_UPDATE: {updates} then, {wanted} now"])
    if updates == wanted:
        files.write(job.run / "trained", f"{wanted}\n")
    return updates == wanted
