"""Literals are read to what eval gives for them; nothing is run, and nothing grows large."""

import ast
from pathlib import Path

import fairseq
import pytest
import yaml

from teaforn_fairseq.fairseq_fixes.evaluated_options import EVALUATED
from teaforn_fairseq.fairseq_fixes.literals import MAX_ELEMENTS, NotALiteral, read_literal

FAIRSEQ = Path(fairseq.__file__).parent


def published():
    """What fairseq itself gives these options: in its examples' YAML files and as defaults."""
    texts = {"[(512, 3)] * 9 + [(1024, 3)] * 4 + [(2048, 1)] * 2"}  # fconv_wmt_en_de's
    for path in FAIRSEQ.glob("examples/**/*.yaml"):
        texts |= set(of_yaml(path.read_text(encoding="utf-8")))
    for path in FAIRSEQ.glob("models/**/*.py"):
        texts |= set(of_defaults(ast.parse(path.read_text(encoding="utf-8"))))
    return sorted(texts)


def of_yaml(page):
    for line in page.splitlines():  # not all of these files are valid as a whole
        name, _, text = line.strip().partition(": ")
        value = yaml.safe_load(text) if name in EVALUATED else None
        if isinstance(value, str) and "${" not in value:
            yield value


def of_defaults(tree):
    """getattr(args, "decoder_attention", "True") in the functions of the architectures."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                args=[_, ast.Constant(value=name), ast.Constant(value=str() as text)]
            ) if name in EVALUATED:
                yield text


def test_recipes_that_fairseq_publishes_are_read_to_what_eval_gives():
    texts = published()
    assert "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2" in texts
    assert len(texts) > 10
    for text in texts:
        assert same(read_literal(text), eval(text)), text


@pytest.mark.parametrize(
    "text",
    [
        *("None", "True", "-1", "+1e-3", "'a' \"b\"", "''", "10000,50000", " \t(0.9, 0.98)\n"),
        *("[]", "()", "{}", "[1, (2.0, 'x'), {'k': [None]}]", "{(1, 2): {'a': -1}, 'b': ()}"),
        *("3 * [1]", "(1,) * 0", "[1] * -1", "2 * 3 + 4 * 1.5", "(1,) + (2,) * 2", "-(1 + 2)"),
        *("(((1)))", "1_000", "0x10", "# nothing\n1", "1e308 * 1e308"),
    ],
)
def test_a_literal_is_read_to_what_eval_gives(text):
    assert same(read_literal(text), eval(text))


def same(a, b):
    return a == b and repr(a) == repr(b)  # repr tells 1 from True, and lists from tuples


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os').getcwd()", "print", "print()", "[print()]", "{'a': print()}", "a.b"),
        *("[x for x in ()]", "lambda: 1", "f'{1}'", "(x := 1)", "1 if 1 else 2", "[1][0]"),
        *("{**{}}", "[*[1]]", "{[]: 1}", "{1, 2}", "b'a'", "1j", "...", "2 ** 3", "1 - 1", "~1"),
        *("not 1", "-True", "True * 3", "'a' * 3", "[1] + (2,)", "[1] * [2]", "[1] * 1.5", "-[1]"),
        *("", "x", "1 2", "import os", "\x00", "\ud800", "1" * 5000, "${common.seed}"),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(NotALiteral, match="^model.x: must be a list, tuple, .*; received .* End"):
        read_literal(text, "model.x", "End.")


@pytest.mark.parametrize(
    "text",
    [
        *("[0] * 1000000000000", "1000000000000 * [0]", "[[0] * 5000] * 5000", "[1] * 1e400"),
        *("+".join(["[0] * 9000"] * 9), "{1: [0] * 9000, 2: [0] * 9000}", f"[{'0,' * 10_001}]"),
        *("[" * 150 + "]" * 150, "-" * 9000 + "1", "1" + "+1" * 4000, "[" * 9000),
        *("9" * 4000 + "*1.0", "[[0]] * 6000", "[]" + "*9" * 6),
    ],
)
def test_nothing_large_or_deep_is_made(text):
    with pytest.raises(NotALiteral, match=f"of at most .* and {MAX_ELEMENTS:,} elements"):
        read_literal(text)


def test_what_is_no_text_is_an_error_as_it_is_for_eval():
    for value in (True, 1, [1], None, b"1"):
        with pytest.raises(TypeError, match="^option: must be text; received"):
            read_literal(value)
