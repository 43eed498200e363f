"""The stage score: a model's translations of both sets with all beams, and what they are worth."""

import gzip
from collections.abc import Sequence
from pathlib import Path

from bench.output import write_whole
from study.processes import printed

from teaforn_fairseq.beams.generated import read_hypotheses, read_lines, sentences_per_second
from teaforn_fairseq.beams.metrics import scores_of
from translation_study.jobs import data_of, generate_command
from translation_study.table import SETS, Score, Table
from translation_study.trainings import Run


def score(run: Run, table: Table, sets: Sequence[tuple[str, int]]) -> None:
    """Add the lines of a run that are missing.

    Raises:
        ValueError: there is no model, or it was trained otherwise than those of the table.
        ChildProcessError: fairseq-generate failed.
        Ended: all have been ended.
    """
    trained = run.begun()
    if not run.model.exists() or trained is None:
        raise ValueError(f"{run}: {run.model} is not there. Run the stage train first.")
    table.check_precision(run.pair, trained.precision)
    for name, beam in table.missing(run, sets):
        hypotheses, speed = translate(run, name, beam)
        keep(table.hypotheses(run.pair, run.name, run.seed, name, beam), hypotheses)
        raw = read_lines(reference(run.place.work, run.pair, name))
        table.add(
            Score(
                pair=run.pair,
                arm=run.name,
                seed=run.seed,
                set=name,
                beam=beam,
                **scores_of("bleu", hypotheses, raw),
                **scores_of("chrf", hypotheses, raw),
                sentences_per_second=speed,
                device=f"cuda {run.place.precision}" if run.place.gpu else "cpu fp32",
                updates=trained.updates,
                seconds=trained.seconds,
                precision=trained.precision,
                options=trained.options,
            )
        )


def translate(run: Run, name: str, beam: int) -> tuple[list[str], float]:
    """Translations of all sentences of a set, detokenised, and how many a second.

    Raises:
        ChildProcessError: fairseq-generate failed.
        ValueError: a sentence is missing.
        Ended: all have been ended.
    """
    path = run.folder / f"{name}-beam{beam}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = printed(generate_command(run.job, run.model, SETS[name], beam), path)
    hypotheses = read_hypotheses(path, len(read_lines(reference(run.place.work, run.pair, name))))
    speed = sentences_per_second(told + path.read_text(encoding="utf-8"))
    path.unlink()
    return hypotheses, speed


def reference(work: Path, pair: str, name: str) -> Path:
    """Raw text of a set in the target language."""
    return data_of(work, pair) / "raw" / f"{SETS[name]}.{pair.partition('-')[2]}"


def keep(path: Path, lines: list[str]) -> None:
    """A sentence a line, compressed, the same bytes for the same text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
    write_whole(path, lambda partial: partial.write_bytes(packed))


def kept(path: Path) -> list[str]:
    """What :func:`keep` has written."""
    return gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
