"""``fairseq-train --user-dir ... --arch ... --criterion ... --help`` lists the flags of these.

fairseq reads a command line twice: once to learn which architecture, task and criterion were
chosen, and again with their flags. But argparse answers ``--help`` during the first reading.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from functools import wraps
from typing import Any

from fairseq import options

HELP = ("-h", "--help")
# Whose flags are listed where none is named: fairseq knows no architecture without a name.
DEFAULT_ARCH = "teaforn_transformer"


def apply() -> None:
    """Have the first reading overlook ``--help``, in every command of fairseq."""
    original = options.parse_args_and_arch

    @wraps(original)
    def parse_args_and_arch(parser: ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        parse = parser.parse_known_args

        def first(args: Iterable[str] | None = None, namespace: Any = None) -> Any:
            vars(parser).pop("parse_known_args", None)  # the next reading is argparse's own
            words = list(sys.argv[1:] if args is None else args)
            others = [word for word in words if word not in HELP]
            chosen, rest = parse(others, namespace)
            if others != words and getattr(chosen, "arch", "") is None:
                chosen.arch = DEFAULT_ARCH
            return chosen, rest

        vars(parser)["parse_known_args"] = first
        return original(parser, *args, **kwargs)

    options.parse_args_and_arch = parse_args_and_arch
