"""All that a stage's result depends on, by name."""

import shlex

from recipes.download import expected
from recipes.job import Job

Facts = dict[str, str]
OPTIONS = "options behind --"
ARCHIVE = "archive "
COMMANDS = ("corpus", "clean.py", "fairseq-train", "fairseq-generate")


def facts(job: Job, stage: str) -> Facts:
    """Settings, and under names that are none archives with their check sums and commands with the
    options that a recipe gives them; those of earlier stages included.

    Settings of this machine, such as GPUS, are not among them. MAX_UPDATE is from generation on:
    a training may go on. Sums that nobody has published are left out.
    """
    found: Facts = {"DATASET": job.name}
    for name, own in _own(job).items():
        found |= {x.name: job.s[x.name] for x in job.s.settings.values() if x.stage == name}
        found |= own
        if name == stage:
            return found
    raise AssertionError(stage)


def _own(job: Job) -> dict[str, Facts]:
    recipe, updates = job.recipe, {"MAX_UPDATE": job.s["MAX_UPDATE"]}
    sums = {f"{ARCHIVE}{x.name}": expected(job, x)[1] for x in recipe.archives}
    return {
        "extract": {
            **{name: digest for name, digest in sums.items() if digest},
            "corpus": shlex.join(recipe.corpus),
        },
        "clean": {"clean.py": shlex.join(clean_options(job))},
        "preprocess": {},
        "train": {
            OPTIONS: shlex.join(job.options),
            "fairseq-train": _placeless(job, job.train_options()),
        },
        "average": updates,
        "generate": {**updates, "fairseq-generate": _placeless(job, recipe.generation)},
    }


def _placeless(job: Job, words: list[str]) -> str:
    """The same wherever OUT is."""
    return shlex.join(word.replace(f"{job.out}/", "") for word in words)


def clean_options(job: Job) -> list[str]:
    """Options of clean.py."""
    words = job.s.options(MAX_WORDS="--max-words", RATIO="--ratio")
    words += ["--valid-every", str(job.recipe.valid_every)]
    words += ["--dedupe"] if job.s.on("DEDUPE") else []
    return words + (["--lowercase"] if job.s.on("LOWERCASE") else [])


def differences(job: Job, then: Facts, now: Facts) -> list[str]:
    """What differs, as "LR: 0.1 then, 0.2 now"; commands only where no setting explains it.

    What only one of both knows is left out: it is of another version of these scripts.
    """
    names = [name for name in now if name in then and _differ(name, then[name], now[name])]
    told = [name for name in names if name not in COMMANDS]
    lines = [told_difference(name, then[name], now[name]) for name in told]
    for name in () if told else names:
        lines += flag_differences(flags(then[name]), flags(now[name]))
    return lines


def _differ(name: str, then: str, now: str) -> bool:
    """Whether they do; of an MD5 and a SHA-256 sum nobody knows."""
    kinds = {text.partition(":")[0] for text in (then, now)}
    return then != now and not (name.startswith(ARCHIVE) and len(kinds) == 2)


def told_difference(name: str, then: str, now: str) -> str:
    """A difference for people."""
    if name.startswith(ARCHIVE):
        then, now = then[:19], now[:19]
    return f"{name}: {then or 'nothing'} then, {now or 'nothing'} now"


def flags(command: str) -> Facts:
    """Values by option; what stands before the first option by ""."""
    found: Facts = {}
    name = ""
    for word in command.replace("'", "").split():
        if word.startswith("--"):
            name = word
            found[name] = ""
        else:
            found[name] = f"{found.get(name, '')} {word}".strip()
    return found


def flag_differences(then: Facts, now: Facts) -> list[str]:
    """Options that differ."""
    return [
        f"{name}: {then.get(name, 'not there')} then, {now.get(name, 'not there')} now"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
