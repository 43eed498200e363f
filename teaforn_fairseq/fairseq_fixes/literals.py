"""Literals as Python writes them, read without running anything.

fairseq hands the text of many options to ``eval``. What they are meant to hold are literals, and
the sums and products of published recipes: ``[(512, 10, 5)] + [(512, 3, 2)] * 4`` describes the
layers of wav2vec 2.0, ``(0.9, 0.98)`` Adam's betas, ``10000,50000`` a cutoff.
"""

import argparse
import ast
from typing import Any

MAX_LENGTH = 10_000  # characters
MAX_ELEMENTS = 10_000
MAX_DEPTH = 100  # a sum of n terms is n deep
RULE = (
    "a list, tuple, dict, number, string, True, False or None, written out, or a sum or product of"
    f" them, of at most {MAX_LENGTH:,} characters and {MAX_ELEMENTS:,} elements"
)


class NotALiteral(ValueError, argparse.ArgumentTypeError):
    """A text that is no literal; argparse shows its message beside the flag."""


def read_literal(text: str, name: str = "option", advice: str = "Write the value out.") -> Any:
    """What ``eval`` gives for a literal, and for nothing else.

    Args:
        text: a literal of at most ``MAX_LENGTH`` characters.
        name: the option, for the message.
        advice: what to do instead, for the message.

    Raises:
        NotALiteral: the text is anything else, or its value would be larger than ``MAX_ELEMENTS``.
        TypeError: it is no text; like ``eval``'s own, which ``fairseq.utils.eval_bool`` expects.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name}: must be text; received {type(text).__name__}.")
    try:
        if len(text) > MAX_LENGTH:
            raise ValueError
        return _read(ast.parse(text.lstrip(" \t"), mode="eval").body, 0)[0]
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        received = text if len(text) <= 200 else f"{text[:200]}..."
        raise NotALiteral(f"{name}: must be {RULE}; received {received!r}. {advice}") from None


def _read(node: ast.AST, depth: int) -> tuple[Any, int]:
    """The value and its number of elements, with those that are in it several times."""
    if depth > MAX_DEPTH:
        raise ValueError
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value, 1
        case ast.List(elts=elements):
            return _elements(elements, depth)
        case ast.Tuple(elts=elements):
            values, size = _elements(elements, depth)
            return tuple(values), size
        case ast.Dict(keys=keys, values=values) if None not in keys:  # None is a "**mapping"
            (read, size), (others, more) = _elements(keys, depth), _elements(values, depth)
            return dict(zip(read, others, strict=True)), _bounded(size + more)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value, size = _read(operand, depth + 1)
            return (-_number(value) if isinstance(sign, ast.USub) else _number(value)), size
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _sum(_read(left, depth + 1), _read(right, depth + 1))
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return _product(_read(left, depth + 1), _read(right, depth + 1))
    raise ValueError


def _elements(nodes: list[Any], depth: int) -> tuple[list[Any], int]:
    read = [_read(node, depth + 1) for node in nodes]
    return [value for value, _ in read], _bounded(1 + sum(size for _, size in read))


def _sum(left: tuple[Any, int], right: tuple[Any, int]) -> tuple[Any, int]:
    (a, size), (b, more) = left, right
    if type(a) is type(b) and isinstance(a, list | tuple):
        return a + b, _bounded(size + more)
    return _number(a) + _number(b), 1


def _product(left: tuple[Any, int], right: tuple[Any, int]) -> tuple[Any, int]:
    (a, size), (b, _) = left, right
    if isinstance(b, list | tuple):
        return _product(right, left)
    if isinstance(a, list | tuple):
        size = _bounded(size * max(_number(b), 1))  # before it is made
        return a * b, size
    return _number(a) * _number(b), 1


def _number(value: Any) -> Any:
    if type(value) not in (int, float):  # a bool is an int too
        raise ValueError
    return value


def _bounded(size: int) -> int:
    if size > MAX_ELEMENTS:
        raise ValueError
    return size
