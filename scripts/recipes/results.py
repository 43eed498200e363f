"""The stages from a training to its scores."""

from pathlib import Path

from recipes import records
from recipes.common import EVERY, PLUGIN
from recipes.errors import Refused
from recipes.job import Job
from recipes.limits import check_lengths
from recipes.train import trained


def average(job: Job) -> None:
    """The mean of the last checkpoints."""
    s, run = job.s, job.run
    if not s.whole("AVERAGE"):
        job.shell.tell("AVERAGE=0: takes the checkpoint with the lowest nll_loss")
        return
    made = records.result(job, "average")
    _trained(job)
    if records.current(job, made):
        return
    interval = s.whole("SAVE_INTERVAL")
    last = s.whole("MAX_UPDATE") // interval * interval
    first = last - (s.whole("AVERAGE") - 1) * interval
    numbers = range(first, last + 1, interval)
    checkpoints = [_checkpoint(run, number) for number in numbers]
    job.shell.run(
        *("python", "-m", "teaforn_fairseq.export", "--force", *checkpoints, job.checkpoint)
    )
    records.write(job, made)


def _checkpoint(run: Path, number: int) -> Path:
    """A checkpoint; the epoch in its name is known only after training."""
    pattern = f"checkpoint_*_{number}.pt"
    return next(iter(sorted(run.glob(pattern))), run / pattern)


def _trained(job: Job) -> None:
    """A training that is complete and has the present settings.

    Raises:
        Refused: it is not, or has others.
    """
    job.need(job.run / "trained", "train")
    if job.shell.dry:
        return
    made = records.result(job, "train")
    records.check(job, made)
    if trained(job) != job.s.whole("MAX_UPDATE"):
        raise Refused(
            f"{job.run} holds results of other settings. MAX_UPDATE: {trained(job)} then,"
            f" {job.s['MAX_UPDATE']} now. Run the stage train first, or choose another OUT."
        )


def generate(job: Job) -> None:
    """Hypotheses for the whole test set, for each beam."""
    _trained(job)
    if job.s.whole("AVERAGE"):
        averaged = records.result(job, "average")
        job.need(averaged.path, "average")
        if not job.shell.dry and not records.current(job, averaged):
            raise Refused(
                f"{averaged.path} is older than the training, or nobody has recorded how it was"
                " made. Run the stage average first."
            )
    check_lengths(job, "GENERATE_TOKENS", ("test",))
    for beam in job.s["BEAMS"].split():
        made = records.result(job, "generate", beam)
        if records.current(job, made):
            continue
        job.shell.note(f"generating with beam {beam} from {job.checkpoint}")
        command = ["fairseq-generate", job.out / "data/bin", "--user-dir", PLUGIN]
        command += ["--path", job.checkpoint, "--beam", beam, *EVERY]
        command += ["--max-tokens", job.s["GENERATE_TOKENS"], *job.recipe.generation]
        job.shell.run(*command, *job.precision(), to=made.path)
        records.write(job, made)


def score(job: Job) -> None:
    """A table and report.json."""
    check_hypotheses(job)
    report(job, [(f"N = {job.s['N']}", job.run)], job.run / "report.json")


def check_hypotheses(job: Job) -> None:
    """Check that all hypotheses are there, made with the present settings.

    Raises:
        Refused: they are not there, or others made them.
    """
    _trained(job)
    for beam in job.s["BEAMS"].split():
        made = records.result(job, "generate", beam)
        job.need(made.path, "generate")
        if not job.shell.dry and not records.current(job, made):
            raise Refused(
                f"{made.path} is older than the training, or nobody has recorded how it was made."
                " Run the stage generate first."
            )


def report(job: Job, runs: list[tuple[str, Path]], path: Path, *, of: str = "sentences") -> None:
    """Score runs of a data set side by side.

    Args:
        job: one of them.
        runs: name and folder of each.
        path: the file for the scores.
        of: what their number in the headline is of.
    """
    recipe = job.recipe
    reference = job.out / f"raw/test.{recipe.target}"
    scoring = list(recipe.scoring)
    published = job.shell.dry and not job.s["CHECKSUMS"] or (job.out / "raw/test-set").exists()
    if recipe.test_set and published:
        scoring += ["--test-set", f"{recipe.test_set}:{recipe.source}-{recipe.target}"]
    if not job.shell.dry:
        count = reference.read_bytes().count(b"\n")
        job.shell.note(f"{recipe.title}, {count} {of}")
    command = ("python", job.script("report.py"), "--reference", reference)
    command += ("--beams", ",".join(job.s["BEAMS"].split()), "--json", path)
    named = [word for name, run in runs for word in ("--run", name, run)]
    job.shell.run(*command, *named, *scoring)
