"""What an update of a cell costs, by count of multiply-adds, in updates of stock fairseq."""

from bench.counts import Tokens, step_cost
from bench.shapes import Shape
from bench.systems import System

from study.cells import STARS, Cell
from study.models import settings


def cost(cell: Cell) -> float | None:
    """Of an update, stock being 1; None, not counted: free running, an N that changes.

    Attention's products of length with length, the feedback and the vocabulary's special symbols
    are not counted (bench/counts.py).
    """
    if not cell.n.isdecimal():
        return None
    s, stars = settings(cell), STARS[cell.stars]
    source, target = stars.source_tokens(cell.form) + 1, stars.length + 1
    words = stars.names + (stars.names * (stars.names - 1) if cell.form == "edge" else 1)
    layers, tokens = (s.whole("LAYERS"), s.whole("DECODER_LAYERS")), Tokens(source, target)
    if cell.family == "transformer_lm":  # whose first label is the source's first token
        layers, tokens = (0, sum(layers)), Tokens(0, target, prompt=source)
    shape = Shape(*layers, s.whole("WIDTH"), s.whole("FFN"), s.whole("HEADS"), words)
    system = System(
        cell.what,
        int(cell.n),
        share=float(cell.teaforn.get("--teaforn-sample-positions", 1)),
        every=int(cell.teaforn.get("--teaforn-every", 1)),
    )
    return step_cost(shape, tokens, system) / step_cost(shape, tokens)
