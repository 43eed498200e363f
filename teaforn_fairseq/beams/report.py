"""What the cells come to: tables as TSV, JSON and Markdown, a picture, and sentences."""

import csv
import io
import json
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from teaforn_fairseq.beams.cells import against, record
from teaforn_fairseq.beams.metrics import COLUMNS, OF_BLEU, TITLES, Rouge
from teaforn_fairseq.beams.plan import Plan
from teaforn_fairseq.beams.statistics import CONFIDENCE, TESTED, compared, signatures
from teaforn_fairseq.files import put_whole

SPEED = "hypotheses_per_second"
NOTES = f"""\
Difference: mean over the seeds of the paired difference to the baseline, with its {CONFIDENCE:.0%}
t interval over the seeds, which says how two *trainings* differ. p: of each seed by paired
approximate randomization, which says how two *models* differ on these sentences. Agreement: of
pairs of systems with such a difference, in how many percent people saw the same one ahead, by
mt-thresholds; below 50 the difference says nothing. Hypotheses a second: of the search alone, next
to whatever else ran.
"""
Row = dict[str, Any]


def report(plan: Plan) -> str:
    """Write all results of the cells that are there.

    Returns:
        The sentences, and where the rest is.

    Raises:
        ValueError: there is not one cell.
        OSError: a file cannot be written.
    """
    scores = score_rows(plan)
    if not scores:
        raise ValueError("--out: not one cell could be translated, see above.")
    rows, lines = summary_rows(plan, scores), []
    columns = [COLUMNS[name][0] for name in plan.metrics]
    for column in columns:
        lines += [
            reaches(rows, plan.baseline, label, column)
            for label in list(plan.systems)[1:]
            if {label, plan.baseline} <= {row["label"] for row in rows}
        ]
    about = {"baseline": plan.baseline, "subset": plan.subset, "generation": plan.options}
    about |= {"confidence": CONFIDENCE, "signatures": told_signatures(plan), "reached": lines}
    files = {
        "scores.tsv": table(scores),
        "summary.tsv": table(rows),
        "summary.json": json.dumps({**about, "rows": rows}, indent=1) + "\n",
        "summary.md": markdown(plan, rows, lines, about["signatures"]),
    }
    for name, text in files.items():
        put_whole(plan.out / name, text.encode())
    put_whole(plan.out / "beams.png", picture(plan, scores, columns))
    return "\n".join([*lines, f"{plan.out}: {', '.join(files)}, beams.png and systems/"])


def score_rows(plan: Plan) -> list[Row]:
    """A row a cell that is there and has all scores, in the order of labels, beams and seeds."""
    columns = [x for name in plan.metrics for x in COLUMNS[name]]
    columns += OF_BLEU if "bleu" in plan.metrics else ()
    rows = []
    for cell in sorted(plan.cells(), key=lambda x: (list(plan.systems).index(x.label), x.beam)):
        about = record(cell)
        if about is None or not about["scores"].keys() >= set(columns):
            continue
        row = {"label": cell.label, "seed": cell.seed, "beam": cell.beam}
        row |= {column: about["scores"][column] for column in columns}
        p = about["p"].get(against(plan, cell), {})
        row |= {f"{name}_p": p.get(name) for name in plan.metrics if name in TESTED}
        rows.append(row | {SPEED: about[SPEED], "checkpoint": about["checkpoint"]})
    return rows


def summary_rows(plan: Plan, scores: Sequence[Row]) -> list[Row]:
    """A row a label and beam: what the seeds come to, and how they differ from the baseline's."""
    rows = []
    for label in plan.systems:
        for beam in plan.beams:
            mine = [x for x in scores if (x["label"], x["beam"]) == (label, beam)]
            base = [x for x in scores if (x["label"], x["beam"]) == (plan.baseline, beam)]
            if mine:
                rows.append(summary_row(plan, mine, [] if label == plan.baseline else base))
    return rows


def summary_row(plan: Plan, mine: Sequence[Row], base: Sequence[Row]) -> Row:
    """One of them.

    Args:
        plan: what has been asked for.
        mine: the seeds' rows.
        base: the baseline's, none for the baseline itself.
    """
    row = {"label": mine[0]["label"], "beam": mine[0]["beam"]}
    row["seeds"] = " ".join(str(x["seed"]) for x in mine)
    for name in plan.metrics:
        for column in COLUMNS[name]:
            values, others = ({x["seed"]: x[column] for x in rows} for rows in (mine, base))
            row |= compared(column, values, others)
        if name in TESTED:
            found = [x[f"{name}_p"] for x in mine]
            row[f"{name}_p"] = " ".join("-" if p is None else f"{p:.4f}" for p in found)
    if "bleu" in plan.metrics:
        row |= {x: round(fmean(y[x] for y in mine), 4) for x in OF_BLEU}
    return row | {SPEED: round(median(x[SPEED] for x in mine), 1)}


def reaches(rows: Sequence[Row], baseline: str, label: str, column: str) -> str:
    """The least beam at which a system's mean is the best of the baseline's, as a sentence."""
    mean = f"{column}_mean"
    best = max((row for row in rows if row["label"] == baseline), key=lambda row: row[mean])
    mine = [row for row in rows if row["label"] == label]
    goal = f"{baseline}'s best {TITLES[column]}, {best[mean]:.2f} at beam {best['beam']}"
    for row in sorted(mine, key=lambda row: row["beam"]):
        if row[mean] >= best[mean]:
            return f"{label} reaches {goal}, at beam {row['beam']} ({row[mean]:.2f})."
    beams = ", ".join(str(row["beam"]) for row in mine)
    return f"{label} does not reach {goal}, at any of the beams {beams}."


def told_signatures(plan: Plan) -> dict[str, str]:
    """Of the scores and of the tests."""
    found = {x: y for x, y in signatures().items() if x.removesuffix("_p") in plan.metrics}
    return found | ({"rouge": Rouge().signature} if "rouge" in plan.metrics else {})


def table(rows: Sequence[Row]) -> str:
    """As TSV; empty where there is no number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def markdown(plan: Plan, rows: Sequence[Row], lines: Sequence[str], told: dict[str, str]) -> str:
    """A table a score, and below them the sentences, what the columns are, and signatures."""
    parts = [f"# {', '.join(plan.systems)} on {plan.subset}\n"]
    heads = ["label", "beam", "each seed", "mean", "sd", "difference", "interval", "agreement", "p"]
    for column in (x for name in plan.metrics for x in COLUMNS[name]):
        parts.append(f"## {TITLES[column]}\n")
        parts.append(grid(heads, [cells(row, column) for row in rows]))
    heads = ["label", "beam", *(OF_BLEU if "bleu" in plan.metrics else ()), SPEED]
    parts.append("## Lengths and speed\n")
    parts.append(
        grid([x.replace("_", " ") for x in heads], [[row[x] for x in heads] for row in rows])
    )
    parts.append("".join(f"- {line}\n" for line in lines))
    parts += [NOTES, "".join(f"- `{name}`: `{text}`\n" for name, text in told.items())]
    return "\n".join(part for part in parts if part)


def cells(row: Row, column: str) -> list[Any]:
    """A row of a score's table."""
    mean, sd, difference, low, high, agreement = (
        row[f"{column}_{x}"] for x in ("mean", "sd", "difference", "low", "high", "agreement")
    )
    return [
        *(row["label"], row["beam"], row[column], f"{mean:.2f}"),
        "" if sd is None else f"{sd:.2f}",
        "" if difference is None else f"{difference:+.2f}",
        "" if low is None else f"{low:+.2f} to {high:+.2f}",
        "" if agreement is None else f"{agreement:.0f}",
        "" if difference is None else row.get(f"{column}_p", ""),
    ]


def grid(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of Markdown."""
    lines = [list(heads), ["---"] * len(heads), *rows]
    texts = [["" if cell is None else str(cell) for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in texts)


def picture(plan: Plan, scores: Sequence[Row], columns: Sequence[str]) -> bytes:
    """Quality against beam as PNG."""
    from teaforn_fairseq.beams.picture import figure_of  # here, because matplotlib is an extra

    panels: dict[str, dict[str, dict[int, list[float]]]] = {TITLES[x]: {} for x in columns}
    for column in columns:
        for row in scores:
            line = panels[TITLES[column]].setdefault(row["label"], {})
            line.setdefault(row["beam"], []).append(row[column])
    image = io.BytesIO()
    figure_of(panels, plan.subset).savefig(image, dpi=120, format="png")
    return image.getvalue()
