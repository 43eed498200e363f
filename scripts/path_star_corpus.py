"""Write path-star graphs and the paths asked for: a task that teacher forcing does not learn.

G(d, l) is a start node with d arms of l nodes each, the start counted; all 1 + d(l-1) nodes are
different and named at random from 0 .. V-1. Source: the d(l-1) directed edges in random order, then
start and goal, the end of one arm. Target: the l nodes from start to goal. G(2, 3) over 9 names:

    format   source                              target
    edge     7>1 4>2 2>3 4>7 4 1                 4 7 1
    words    7 1 | 4 2 | 2 3 | 4 7 | 4 1         4 7 1

Every node behind the second follows from the gold node before it and one edge. The second does not:
which arm leads to the goal can only be found by looking ahead, and a guess is right once in d times
(Bachmann and Nagarajan, "The pitfalls of next-token prediction", ICML 2024). The same seed gives
the same files; no graph of validation or test is in training, with whatever order and goal.
"""

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

FORMATS = {"edge": (">", " "), "words": (" ", " | ")}  # inside an edge, between two

Edge = tuple[int, int]


@dataclass(frozen=True)
class Graph:
    """A path-star graph: the nodes of each arm, all of which begin with the start."""

    arms: tuple[tuple[int, ...], ...]

    @property
    def edges(self) -> frozenset[Edge]:
        """What makes it another graph; neither the order of its arms nor a goal does."""
        return frozenset(edge for arm in self.arms for edge in zip(arm, arm[1:], strict=False))


@dataclass(frozen=True)
class Stars:
    """The graphs G(d, l) over V names.

    Attributes:
        arms: d, at least 2.
        length: l, at least 2.
        names: V, at least 1 + d(l-1).
    """

    arms: int
    length: int
    names: int

    def __post_init__(self) -> None:
        if min(self.arms, self.length) < 2:
            raise ValueError(
                "--arms, --length: must be at least 2, or there is nothing to choose; received"
                f" {self.arms}, {self.length}"
            )
        if self.names < self.nodes:
            raise ValueError(
                f"--names: G({self.arms}, {self.length}) has {self.nodes} nodes, 1 + d(l-1), and"
                f" each needs a name of its own; received {self.names}"
            )

    @property
    def nodes(self) -> int:
        """1 + d(l-1)."""
        return 1 + self.arms * (self.length - 1)

    @property
    def count(self) -> int:
        """How many graphs there are."""
        return math.perm(self.names, self.nodes) // math.factorial(self.arms)

    def source_tokens(self, form: str) -> int:
        """Words of every source in this format."""
        return len(as_lines(self.draw(random.Random(0)), form, random.Random(0))[0].split())

    def draw(self, rng: random.Random) -> Graph:
        """Any of them, all equally likely."""
        start, *rest = rng.sample(range(self.names), self.nodes)
        size = self.length - 1
        return Graph(tuple((start, *rest[i : i + size]) for i in range(0, len(rest), size)))


def main() -> None:
    """Read the options and write the corpus."""
    args = parse_args()
    try:
        stars = Stars(args.arms, args.length, args.names)
        check_lines(stars, args.train_lines, args.test_lines)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    args.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(args.seed)
    for split, graphs in splits(stars, args.train_lines, args.test_lines, rng).items():
        write_split(args.out / split, graphs, args.format, rng)


def parse_args() -> argparse.Namespace:
    """Options of the command line, defaults in --help."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for train.graph, train.path, ...")
    add("--arms", type=int, default=2, help="d, arms of a graph")
    add("--length", type=int, default=5, help="l, nodes of an arm, the start counted")
    add("--names", type=int, default=9, help="V, names to draw the nodes' from")
    add("--format", choices=FORMATS, default="edge", help="edge: one word; words: two and a bar")
    add("--train-lines", type=int, default=200_000, help="of training")
    add(
        "--test-lines",
        type=int,
        default=500,
        help="of validation, and of the test; all of different graphs",
    )
    add("--seed", type=int, default=1, help="of the random choices")
    return parser.parse_args()


def check_lines(stars: Stars, train: int, test: int) -> None:
    """Every split has lines, and half of the graphs at least are left for training.

    Args:
        stars: the graphs to take from.
        train: lines of training.
        test: lines of validation, and of the test.

    Raises:
        ValueError: not so.
    """
    if min(train, test) < 1:
        raise ValueError(
            f"--train-lines, --test-lines: must be at least 1; received {train}, {test}"
        )
    if 4 * test > stars.count:
        raise ValueError(
            f"--test-lines: there are {stars.count} graphs G({stars.arms}, {stars.length}) over"
            f" {stars.names} names; validation and test may take a quarter each, so that half is"
            f" left for training; received {test}"
        )


def splits(
    stars: Stars, train: int, test: int, rng: random.Random
) -> dict[str, Iterator[Graph] | list[Graph]]:
    """The graphs of validation, test and training, to be read in this order."""
    apart = held_out(stars, 2 * test, rng)
    rest = others(stars, {graph.edges for graph in apart}, rng)
    return {"valid": apart[:test], "test": apart[test:], "train": islice(rest, train)}


def held_out(stars: Stars, number: int, rng: random.Random) -> list[Graph]:
    """So many different graphs."""
    graphs: dict[frozenset[Edge], Graph] = {}
    while len(graphs) < number:
        graph = stars.draw(rng)
        graphs.setdefault(graph.edges, graph)
    return list(graphs.values())


def others(stars: Stars, seen: set[frozenset[Edge]], rng: random.Random) -> Iterator[Graph]:
    """Graphs without end, none of those seen; the same one may come again."""
    while True:
        graph = stars.draw(rng)
        if graph.edges not in seen:
            yield graph


def as_lines(graph: Graph, form: str, rng: random.Random) -> tuple[str, str]:
    """The graph with its edges in random order, start and the end of any arm; and that arm."""
    inside, between = FORMATS[form]
    path = rng.choice(graph.arms)
    edges = rng.sample(sorted(graph.edges), len(graph.edges))
    words = [f"{a}{inside}{b}" for a, b in edges]
    return between.join([*words, f"{path[0]} {path[-1]}"]), " ".join(map(str, path))


def write_split(
    prefix: Path, graphs: Iterator[Graph] | list[Graph], form: str, rng: random.Random
) -> None:
    """Write ``<prefix>.graph`` and ``<prefix>.path``, a line a graph."""
    with (
        open(f"{prefix}.graph", "w", encoding="ascii") as sources,
        open(f"{prefix}.path", "w", encoding="ascii") as targets,
    ):
        for graph in graphs:
            source, target = as_lines(graph, form, rng)
            sources.write(f"{source}\n")
            targets.write(f"{target}\n")


if __name__ == "__main__":
    main()
