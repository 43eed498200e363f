"""Quality against beam, a line an arm."""

from collections import defaultdict

from bench.output import write_whole

from teaforn_fairseq.beams.picture import figure_of
from translation_study.arms import ARMS
from translation_study.table import Score, Table


def draw(table: Table) -> None:
    """Write bleu-PAIR-SET.png for each pair and set that have scores."""
    found: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in table.scores():
        found[score.pair, score.set].append(score)
    for (pair, of_set), scores in found.items():
        lines: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for score in scores:
            lines[ARMS[score.arm].what][score.beam].append(score.bleu)
        figure = figure_of({"sacreBLEU": lines}, f"{pair}, {of_set}")
        path = table.folder / f"bleu-{pair}-{of_set}.png"
        write_whole(path, lambda to, drawn=figure: drawn.savefig(to, dpi=120, format="png"))
