"""Which options count: what was given by hand, before the preset, before the defaults."""

import shlex
from collections.abc import Mapping
from dataclasses import Field
from enum import Enum
from typing import Any

from fairseq.dataclass.utils import interpret_dc_type

from teaforn_fairseq.criterions.options import DEFAULTS, FLAGS
from teaforn_fairseq.unroll.presets import PRESETS

# Why a flag does nothing with this --teaforn-n, and what to do.
IDLE = {
    "1": ("which hands nothing on", "Leave it out, or raise --teaforn-n."),
    "full": ("which has one pass and aligned labels", "Leave it out."),
}


def in_force(cfg: Any) -> dict[str, Any]:
    """Defaults, overridden by the preset, overridden by what was given by hand.

    Args:
        cfg: ``TeaForNCrossEntropyCriterionConfig``, or what fairseq makes of it. A flag that is
            None, False or absent, as in the checkpoint of an older version, was not given.

    Returns:
        All options that count, by the names of FLAGS, choices and schedules as text. Where the
        weights are given, or there is only one pass, the default discount does not count.

    Raises:
        ValueError: an option does nothing with ``--teaforn-n``.
    """
    by_hand = {name: x for name, flag in FLAGS.items() if (x := _given(cfg, flag)) is not None}
    preset = by_hand.pop("preset", None)
    chosen = PRESETS[preset] if preset else {}
    if "discount" in by_hand:  # by hand it wins over the weights of a preset as well
        chosen = {name: x for name, x in chosen.items() if name != "weights"}
    options = {**DEFAULTS, **chosen, **by_hand}
    if "discount" not in by_hand and ("weights" in options or options["n"] == "full"):
        del options["discount"]
    # One step ignores what a preset sets beside N, so that a script can vary N.
    _refuse_idle(options["n"], by_hand if options["n"] == "1" else {**chosen, **by_hand})
    return options


def as_flags(options: Mapping[str, Any]) -> str:
    """The options in force as a shell could be given them, those left out that do nothing."""
    counting = {name: x for name, x in options.items() if not _idle(name, options["n"])}
    return " ".join(
        _spelled(name) if value is True else f"{_spelled(name)} {shlex.quote(str(value))}"
        for name, value in counting.items()
    )


def _given(cfg: Any, flag: Field) -> Any:
    value, kind = getattr(cfg, flag.name, None), interpret_dc_type(flag.type)
    if value is None or value is False:
        return None
    return str(value) if issubclass(kind, str | Enum) else value


def _refuse_idle(n: str, given: Mapping[str, Any]) -> None:
    for name, value in sorted(given.items()):
        if _idle(name, n) and value != FLAGS[name].metadata["neutral"]:
            reason, advice = IDLE[n]
            raise ValueError(
                f"{_spelled(name)}: does nothing with --teaforn-n {n}, {reason}; received {value}."
                f" {advice}"
            )


def _idle(name: str, n: str) -> bool:
    return n in FLAGS[name].metadata["idle_with"]


def _spelled(name: str) -> str:
    return f"--teaforn-{name.replace('_', '-')}"
