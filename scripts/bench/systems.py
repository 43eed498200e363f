"""Systems that are measured, and their names: n2, n3-recompute, n2-sample0.25-every4, ..."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from teaforn_fairseq.criterions.in_force import in_force
from teaforn_fairseq.criterions.options import TeaForNCrossEntropyCriterionConfig
from teaforn_fairseq.unroll.plan import make_plan

STOCK = "stock"
CHOICES = "nN with any of -recompute, -sampleR, -everyK, -plain and -fused behind it"
_PARTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    r"recompute": ("recompute", lambda _: True),
    r"sample(\d*\.?\d+)": ("share", float),
    r"every(\d+)": ("every", int),
    r"(plain|fused)": ("loss_impl", str),
}


@dataclass(frozen=True)
class System:
    """One way to train with our criterion.

    Attributes:
        name: as on the command line.
        n: N, at least 1.
        recompute: ``--teaforn-recompute``.
        share: ``--teaforn-sample-positions``.
        every: ``--teaforn-every``.
        loss_impl: ``--teaforn-loss-impl``; None for its default.
    """

    name: str
    n: int
    recompute: bool = False
    share: float = 1.0
    every: int = 1
    loss_impl: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The criterion's options; None where left at their default."""
        return {
            "teaforn_n": str(self.n),
            "teaforn_recompute": self.recompute,
            "teaforn_sample_positions": self.share if self.share != 1 else None,
            "teaforn_every": self.every if self.every != 1 else None,
            "teaforn_loss_impl": self.loss_impl,
        }


def parse_systems(text: str) -> list[System]:
    """Read a comma-separated list of names; doubles count once.

    Raises:
        ValueError: a name that stands for no system, or for options that the criterion refuses.
    """
    return [parse_system(name) for name in dict.fromkeys(text.split(","))]


def parse_system(name: str) -> System:
    """Read one name.

    Raises:
        ValueError: as ``parse_systems``.
    """
    head, *parts = name.split("-")
    number = re.fullmatch(r"n(\d+)", head, flags=re.ASCII)
    read = [_part(part) for part in parts]
    settings = dict(x for x in read if x)
    if not number or None in read or len(settings) < len(parts):
        raise ValueError(f"--systems: each must be {CHOICES}; received {name!r}.")
    system = System(name, int(number[1]), **settings)
    try:
        make_plan(in_force(TeaForNCrossEntropyCriterionConfig(**system.options)))
    except ValueError as error:
        raise ValueError(f"--systems: {name}: {error}") from None
    return system


def argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """``read`` as argparse wants it: its ValueErrors are the user's to see."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix("--systems: ")) from None

    return checked


def _part(text: str) -> tuple[str, Any] | None:
    for pattern, (field, read) in _PARTS.items():
        match = re.fullmatch(pattern, text, flags=re.ASCII)
        if match:
            return field, read(match[match.re.groups])
    return None
