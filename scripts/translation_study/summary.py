"""What the scores of each arm, beam, set and pair come to, over the seeds and against a and c."""

from collections import defaultdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

from study.rows import append, read, write_summary

from teaforn_fairseq.beams.generated import read_lines
from teaforn_fairseq.beams.statistics import CONFIDENCE, compared, p_value, signatures
from translation_study.arms import ARMS, BASELINE, SAME_TIME
from translation_study.scores import kept, reference
from translation_study.table import SIGNIFICANCE, Score, Table

NAMES = ["pair", "arm", "seed", "set", "beam", "p_bleu", "p_chrf"]
Cells = dict[tuple[str, str, int], dict[str, dict[int, Score]]]  # by arm and seed
P = dict[tuple[str, ...], tuple[float, float]]


def summarize(table: Table, work: Path) -> None:
    """Test what has not been tested, then write a line for each arm in each cell.

    Args:
        table: of all scores.
        work: folder of the data.
    """
    cells: Cells = defaultdict(lambda: defaultdict(dict))
    for score in table.scores():
        cells[score.cell][score.arm][score.seed] = score
    tested = test_all(table, work, cells)
    rows = [summary_row(name, arms, tested) for arms in cells.values() for name in arms]
    if not rows:
        return
    about = {
        "baseline": BASELINE,
        "same_time": SAME_TIME,
        "confidence": CONFIDENCE,
        "signatures": signatures(),
    }
    write_summary(table.folder, rows, **about)


def test_all(table: Table, work: Path, cells: Cells) -> P:
    """p of each model against arm a's of the same seed; what is in the file is not repeated."""
    path = table.folder / SIGNIFICANCE
    rows = read(path)
    found = {
        tuple(row[name] for name in NAMES[:5]): (float(row["p_bleu"]), float(row["p_chrf"]))
        for row in rows
    }
    for arms in cells.values():
        for score in (x for seeds in arms.values() for x in seeds.values()):
            base = arms.get(BASELINE, {}).get(score.seed)
            if base is None or base is score or named(score) in found:
                continue
            a, other = (
                kept(table.hypotheses(x.pair, x.arm, x.seed, x.set, x.beam)) for x in (base, score)
            )
            raw = read_lines(reference(work, score.pair, score.set))
            p = p_value("bleu", a, other, raw), p_value("chrf", a, other, raw)
            append(path, NAMES, [[*named(score), *p]])
            found[named(score)] = p
    return found


def named(score: Score) -> tuple[str, ...]:
    """What a line of the file is about."""
    return score.pair, score.arm, str(score.seed), score.set, str(score.beam)


def summary_row(name: str, arms: dict[str, dict[int, Score]], tested: P) -> dict[str, Any]:
    """What the seeds of an arm come to in a cell.

    Args:
        name: of the arm.
        arms: scores by arm and seed.
        tested: p by pair, arm, seed, set and beam.
    """
    scores = [arms[name][seed] for seed in sorted(arms[name])]
    pair, of_set, beam = scores[0].cell
    row = {"pair": pair, "set": of_set, "beam": beam, "arm": name, "what": ARMS[name].what}
    row["seeds"] = " ".join(str(x.seed) for x in scores)
    for position, metric in enumerate(("bleu", "chrf")):
        values = {x.seed: getattr(x, metric) for x in scores}
        to_base, to_same_time = (
            compared(metric, values, {x: getattr(y, metric) for x, y in others.items()})
            for others in ({} if name == x else arms.get(x, {}) for x in (BASELINE, SAME_TIME))
        )
        row |= to_base
        for part in ("difference", "low", "high"):
            row[f"{metric}_{part}_to_{SAME_TIME}"] = to_same_time[f"{metric}_{part}"]
        found = [tested.get(named(x)) for x in scores]
        row[f"{metric}_p"] = " ".join(f"{p[position]:.4f}" if p else "-" for p in found)
    row["brevity_penalty"] = round(fmean(x.brevity_penalty for x in scores), 4)
    row["length_ratio"] = round(fmean(x.length_ratio for x in scores), 4)
    row["sentences_per_second"] = round(median(x.sentences_per_second for x in scores), 1)
    return row
