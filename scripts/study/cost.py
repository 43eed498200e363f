"""What an update of a cell costs, by count of multiply-adds, in updates of stock fairseq."""

from collections import Counter

from bench.counts import Tokens, step_cost
from bench.shapes import Shape
from bench.systems import System

from study.cells import STARS, Cell
from study.models import settings
from teaforn_fairseq.unroll.schedule import parse_schedule


def cost(cell: Cell, updates: int) -> float | None:
    """Of an update, stock being 1; None, not counted: free running.

    Attention's products of length with length, the feedback and the vocabulary's special symbols
    are not counted (bench/counts.py).

    Args:
        cell: the cell.
        updates: over whose mean, where N changes.
    """
    if cell.n == "full":
        return None
    shape, tokens = sizes(cell)
    n_at = parse_schedule("--teaforn-n", cell.n)
    times = Counter(int(n_at(update)) for update in range(updates))
    total = sum(count * step_cost(shape, tokens, system(cell, n)) for n, count in times.items())
    return total / updates / step_cost(shape, tokens)


def sizes(cell: Cell) -> tuple[Shape, Tokens]:
    """Of the model and of a sentence."""
    s, stars = settings(cell), STARS[cell.stars]
    source, target = stars.source_tokens(cell.form) + 1, stars.length + 1
    words = stars.names + (stars.names * (stars.names - 1) if cell.form == "edge" else 1)
    layers, tokens = (s.whole("LAYERS"), s.whole("DECODER_LAYERS")), Tokens(source, target)
    if cell.family == "transformer_lm":  # whose first label is the source's first token
        layers, tokens = (0, sum(layers)), Tokens(0, target, prompt=source)
    return Shape(*layers, s.whole("WIDTH"), s.whole("FFN"), s.whole("HEADS"), words), tokens


def system(cell: Cell, n: int) -> System:
    """How the decoder is unrolled in N steps."""
    return System(
        cell.what,
        n,
        share=float(cell.teaforn.get("--teaforn-sample-positions", 1)),
        every=int(cell.teaforn.get("--teaforn-every", 1)),
    )
