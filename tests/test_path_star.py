"""Path-star graphs: what the corpus holds and refuses, and the recipe from corpus to score."""

import json
import random
from itertools import pairwise

import path_star_corpus
import pytest
from commands import ROOT, run
from recipe_commands import STAR, left_over, lines, recipe
from recipes import engine
from recipes.datasets import find, path_star
from recipes.errors import Refused

SPLITS = ("train", "valid", "test")
SMALL = {"train": ("--train-lines", "200"), "test": ("--test-lines", "40")}


def write(out, *options, **kwargs):
    script = ROOT / "scripts/path_star_corpus.py"
    sizes = [word for words in SMALL.values() for word in words]
    run("python", script, "--out", out, *sizes, *options, **kwargs)
    return {
        split: list(zip(lines(out / f"{split}.graph"), lines(out / f"{split}.path"), strict=True))
        for split in SPLITS
    }


def read(source, form):
    """Edges, start and goal of a source."""
    if form == "edge":
        *edges, start, goal = source.split()
        return [tuple(edge.split(">")) for edge in edges], start, goal
    *edges, question = source.split(" | ")
    return [tuple(edge.split()) for edge in edges], *question.split()


@pytest.mark.parametrize("form", ["edge", "words"])
@pytest.mark.parametrize(("arms", "length", "names"), [(2, 5, 9), (3, 4, 40), (2, 2, 11)])
def test_every_line_is_a_graph_of_different_nodes_and_its_one_path(
    form, arms, length, names, tmp_path
):
    shape = ("--arms", arms, "--length", length, "--names", names, "--format", form)
    corpus = write(tmp_path, *shape)
    assert [len(corpus[split]) for split in SPLITS] == [200, 40, 40]
    for source, target in sum(corpus.values(), []):
        edges, start, goal = read(source, form)
        path = target.split()
        nodes = {node for edge in edges for node in edge}
        assert len(nodes) == 1 + arms * (length - 1) and max(map(int, nodes)) < names
        assert len(edges) == len(set(edges)) == arms * (length - 1)
        assert [sum(edge[0] == start for edge in edges), len(path)] == [arms, length]
        # Every node but the start has one edge that leads to it: the arms are separate.
        assert sorted(edge[1] for edge in edges) == sorted(nodes - {start})
        assert path[0] == start and path[-1] == goal and set(pairwise(path)) <= set(edges)
        assert goal not in {edge[0] for edge in edges}
        stars = path_star_corpus.Stars(arms, length, names)
        assert stars.source_tokens(form) == len(source.split())


def test_no_graph_of_validation_and_test_is_anywhere_else_in_any_order(tmp_path):
    # 60 graphs, each of which training has many times, with other orders and goals.
    small = ("--arms", "2", "--length", "3", "--names", "5", "--train-lines", "3000")
    corpus = write(tmp_path, *small, "--test-lines", "15")
    graphs = {x: [frozenset(read(source, "edge")[0]) for source, _ in corpus[x]] for x in SPLITS}
    sets = {split: set(found) for split, found in graphs.items()}
    assert [len(sets[split]) for split in SPLITS] == [30, 15, 15]
    assert len(set().union(*sets.values())) == 60 == path_star_corpus.Stars(2, 3, 5).count
    goals = [source.split()[-1] for source, _ in corpus["train"]]
    for graph in sets["train"]:
        ends = {goal for found, goal in zip(graphs["train"], goals, strict=True) if found == graph}
        assert len(ends) == 2


def test_the_seed_decides_the_graphs(tmp_path):
    first, again, other = (
        write(tmp_path / name, "--seed", seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other


def test_edges_and_arms_come_in_any_order():
    graph = path_star_corpus.Graph(((4, 7, 1), (4, 2, 3)))
    rng = random.Random(1)
    drawn = {path_star_corpus.as_lines(graph, "edge", rng) for _ in range(1000)}
    assert len({source.rsplit(maxsplit=2)[0] for source, _ in drawn}) == 24
    assert {target for _, target in drawn} == {"4 7 1", "4 2 3"}


REFUSED = [
    (
        {"names": "8"},
        "{names}: G(2, 5) has 9 nodes, 1 + d(l-1), and each needs a name of its own; received 8",
    ),
    (
        {"length": "2", "names": "3"},
        "{test}: there are 3 graphs G(2, 2) over 3 names; validation and test may take a quarter"
        " each, so that half is left for training; received 500",
    ),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=str)
def test_graphs_that_there_cannot_be_are_refused_by_script_and_recipe(given, message, tmp_path):
    flags = [word for name, value in given.items() for word in (f"--{name}", value)]
    script = ("python", ROOT / "scripts/path_star_corpus.py", "--out", tmp_path / "out")
    told = message.format(names="--names", test="--test-lines")
    assert run(*script, *flags, fails=True) == f"error: {told}\n"
    env = {name.upper(): value for name, value in given.items()}
    out = recipe("path_star", env={"OUT": str(tmp_path / "out"), "GPUS": "0", **env}, fails=True)
    assert out == f"error: {message.format(names='NAMES', test='TEST_LINES')}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--arms", "1"], "error: --arms, --length: must be at least 2, or there is nothing to"),
        (["--length", "1"], "error: --arms, --length: must be at least 2, or there is nothing to"),
        (
            ["--train-lines", "0"],
            "error: --train-lines, --test-lines: must be at least 1; received 0, 500\n",
        ),
        (["--format", "nodes"], "usage: "),
    ],
    ids=str,
)
def test_the_script_refuses_before_it_writes(flags, message, tmp_path):
    script = ("python", ROOT / "scripts/path_star_corpus.py", "--out", tmp_path / "out")
    assert run(*script, *flags, fails=True).startswith(message)
    assert not list(tmp_path.iterdir())


def checked(**given):
    """The settings of the data set, or the message that refuses them."""
    entry = find("path_star")
    s = engine.values_of("path_star", entry, {"GPUS": "0", **given})
    try:
        engine.check("path_star", entry, s)
    except Refused as error:
        return str(error)
    return s


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ARMS": "1"}, "ARMS: must be at least 2; received '1'."),
        ({"LENGTH": "1"}, "LENGTH: must be at least 2; received '1'."),
        ({"TRAIN_LINES": "0"}, "TRAIN_LINES: must be at least 1; received '0'."),
        ({"FORMAT": "nodes"}, "FORMAT: must be edge or words; received 'nodes'."),
        ({"POSITIONS": "both"}, "POSITIONS: must be learned or even; received 'both'."),
        (
            {"ARMS": "20", "LENGTH": "20", "NAMES": "400", "FORMAT": "words"},
            "ARMS=20, LENGTH=20: make sources of 1142 words; received MAX_SUBWORDS=1023. Lower"
            " them.",
        ),
    ],
    ids=str,
)
def test_the_recipe_refuses_a_setting(given, message):
    assert checked(**given) == message


@pytest.mark.parametrize(("form", "tokens"), [("edge", 11), ("words", 27)])
def test_a_batch_has_as_many_sentences_in_each_format(form, tokens):
    s = checked(FORMAT=form)
    assert s["BATCH"] == s["MAX_TOKENS"] == str(path_star.SENTENCES * tokens)


@pytest.mark.parametrize(
    ("given", "layers", "n", "even"),
    [
        ({}, ["6", "1"], "3", False),
        ({"FORMAT": "words"}, ["4", "6"], "1@0,3@1200", True),
        (
            {"FORMAT": "words", "POSITIONS": "learned", "LAYERS": "2"},
            ["2", "6"],
            "1@0,3@1200",
            False,
        ),
        ({"POSITIONS": "even", "N": "1"}, ["6", "1"], "1", True),
    ],
    ids=str,
)
def test_a_model_is_the_one_that_learns_its_format(given, layers, n, even):
    s = checked(**given)
    options = path_star.recipe(s).training
    found = [options[options.index(f"--{side}-layers") + 1] for side in ("encoder", "decoder")]
    assert found == layers and s["N"] == n
    assert [x in options for x in path_star.POSITIONS["even"]] == [even, even]
    assert [x in options for x in path_star.POSITIONS["learned"]] == [not even, not even]


def test_the_recipe_runs_from_corpus_to_the_share_of_whole_paths_beside_chance(tmp_path):
    env = {**STAR, "GPUS": "0", "VENV": "none", "CHECK_DISK": "0", "OUT": str(tmp_path / "out")}
    env |= {"ARMS": "3", "NAMES": "20"}
    out = recipe("path_star", env=env)
    words = {line.split()[0] for line in lines(tmp_path / "out/data/bin/dict.graph.txt")}
    used = {word for x in ("graph", "path") for line in lines(tmp_path / f"out/raw/train.{x}")
            for word in line.split()}  # fmt: skip
    assert used <= words and any(">" in word for word in words)
    assert not (tmp_path / "out/data/spm.model").exists() and not left_over(tmp_path)
    folder = tmp_path / "out/n3-seed1"
    report = json.loads((folder / "report.json").read_text())
    (row,) = report["runs"]
    assert report["chance"] == 33.33 and row["updates"] == 30
    # By hand from what fairseq printed.
    said = {}
    for line in lines(folder / "beam1.txt"):
        if line[:2] in ("H-", "T-"):
            number, _, words = line[2:].partition("\t")
            said.setdefault(number, []).append(words.rpartition("\t")[2])
    right = sum(target == hypothesis for target, hypothesis in said.values())
    assert len(said) == 13 and row["exact"] == {"1": round(100 * right / 13, 2)}
    assert "exact beam 1  chance  training" in out and " 33.33 " in out
