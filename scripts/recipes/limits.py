"""What a model and a batch take: fairseq leaves longer sentences out of training with no more than
a line in its log, so that a recipe stops before."""

import json

from recipes.common import LONGEST
from recipes.errors import Refused
from recipes.job import Job


def check_lengths(job: Job, name: str, splits: tuple[str, ...]) -> None:
    """Hold the longest sentences against a batch's size and the model's positions.

    Args:
        job: whose data.
        name: of the setting that holds a batch's tokens.
        splits: that go into these batches.

    Raises:
        Refused: a sentence is longer.
    """
    if job.shell.dry:
        return
    path = job.out / "data/lengths.json"
    if not path.exists():
        job.shell.tell(
            f"note: {path} is not there: an earlier version of these scripts made the data. Look"
            f" for 'samples have invalid sizes' in fairseq's log, or remove {path.parent}."
        )
        return
    longest = json.loads(path.read_text(encoding="utf-8"))["longest"]
    limits = {name: (job.s.whole(name), ("source", "target"))}
    limits |= {f"--max-{x}-positions": (_positions(job, x), (x,)) for x in ("source", "target")}
    for limit, (most, sides) in limits.items():
        wanted = 1 + max(longest[split][side] for split in splits for side in sides)
        if wanted > most:
            raise Refused(
                f"{limit}={most}: must be at least {wanted}, the longest sentence of"
                f" {' and '.join(splits)} with its end; fairseq would leave it out or stop. Raise"
                f" it, or set MAX_SUBWORDS={most - 1} in another OUT, which leaves longer pairs out"
                " of training and validation and counts them."
            )


def _positions(job: Job, side: str) -> int:
    """Positions of the model on this side: the option's last value, or fairseq's default."""
    words = [*job.options, ""]
    flag = f"--max-{side}-positions"
    given = [words[i + 1] for i, word in enumerate(words[:-1]) if word == flag]
    given += [x.partition("=")[2] for x in words if x.startswith(f"{flag}=")]
    return int(given[-1]) if given and given[-1].isdecimal() else LONGEST + 1
