"""The systems of the literature as settings of one engine (method.md, "The family").

Options are named as on the command line, without ``--teaforn-``.
"""

from typing import Any

DEFAULTS = {
    "n": "2",
    "discount": "0.5",
    "feedback": "hidden",
    "labels": "aligned",
    "mix": "1",
    "loss_impl": "auto",
}
# What a single step reads. Weights weigh it against nothing; they pass, so that a script can
# vary N.
OF_ONE_STEP = {"n", "discount", "weights", "loss_impl"}

PRESETS: dict[str, dict[str, str]] = {
    "teacher-forcing": {"n": "1"},
    "teaforn": {},
    "teaforn-topk": {"feedback": "topk"},
    # Two passes, the second of which counts (Mihaylova and Martins 2019).
    "scheduled-sampling": {"weights": "0,1", "feedback": "argmax", "mix": "linear:20000"},
    "student-forcing": {"n": "full"},
}


def in_force(preset: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Defaults, overridden by the preset, overridden by what was given by hand.

    Args:
        preset: one of PRESETS, or None.
        given: options by name; None or False where not given.

    Returns:
        All options that count. Where the weights are given, or there is only one pass, the
        default discount does not.

    Raises:
        ValueError: an option given by hand would do nothing, because there is one step only.
    """
    by_hand = {name: x for name, x in given.items() if x is not None and x is not False}
    chosen = PRESETS[preset] if preset else {}
    if "discount" in by_hand:  # by hand it wins over the weights of a preset as well
        chosen = {name: x for name, x in chosen.items() if name != "weights"}
    options = {**DEFAULTS, **chosen, **by_hand}
    if "discount" not in by_hand and ("weights" in options or options["n"] == "full"):
        del options["discount"]
    idle = by_hand.keys() - OF_ONE_STEP if options["n"] == "1" else ()
    for name in sorted(idle):
        raise ValueError(
            f"--teaforn-{name.replace('_', '-')}: does nothing with --teaforn-n 1, which hands"
            f" nothing on; received {by_hand[name]}. Leave it out, or raise --teaforn-n."
        )
    return options
