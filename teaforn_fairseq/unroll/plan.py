"""From the criterion's options to the unroll and its weights at any number of updates."""

import math
from dataclasses import dataclass, replace
from typing import Any

from teaforn_fairseq.feedbacks import Feedback, build_feedback
from teaforn_fairseq.unroll.schedule import Schedule, parse_schedule
from teaforn_fairseq.unroll.steps import UnrollSettings

Weights = tuple[float, ...]
PLAN_OPTIONS = {"n", "discount", "weights", "feedback", "labels", "mix", "loss_impl"}
COST_OPTIONS = {"sample_positions", "every", "recompute"}


@dataclass(frozen=True)
class UnrollPlan:
    """How training unrolls the decoder, update by update.

    Attributes:
        num_steps: N, whole numbers of at least 1.
        discount: 0 to 1; the weight of step i is discount^(i-1).
        weights: lambda_1..lambda_N where they are given one by one, which wins over the discount.
        feedback: f.
        shifted: shifted labels rather than aligned ones.
        mix: q, 0 to 1.
        free_running: one pass, slot by slot, in place of N steps.
        share: r, above 0, at most 1: share of the tokens of steps 2..N that training projects.
        every: k >= 1: training runs steps 2..N at every k-th update, k times as heavy.
        recompute: keep the last step's activations only.
    """

    num_steps: Schedule
    discount: Schedule
    weights: Weights | None
    feedback: Feedback
    shifted: bool
    mix: Schedule
    free_running: bool = False
    share: float = 1.0
    every: int = 1
    recompute: bool = False

    @property
    def max_steps(self) -> int:
        """The largest N of all updates."""
        return int(max(self.num_steps.values))

    def at(self, update: int, training: bool = True) -> tuple[UnrollSettings, Weights]:
        """The unroll and lambda_1..lambda_N at this number of updates; whole for validation."""
        num_steps, discount = int(self.num_steps(update)), self.discount(update)
        weights = self.weights or tuple(discount**step for step in range(num_steps))
        if training and self.every > 1:
            num_steps = num_steps if update % self.every == 0 else 1
            weights = (weights[0], *(self.every * w for w in weights[1:num_steps]))
        return UnrollSettings(
            num_steps,
            self.feedback,
            self.shifted,
            self.mix(update),
            self.free_running,
            self.recompute,
        ), weights


def make_plan(options: dict[str, Any]) -> UnrollPlan:
    """Read the options that are in force, named as on the command line without ``--teaforn-``.

    Args:
        options: ``n``, ``feedback``, ``labels`` and ``mix``; ``discount``, ``weights`` and the
            feedback's own options where they count.

    Raises:
        ValueError: a value out of its range, or an option that would do nothing; the message
            names flag, rule and value.
    """
    own = {name: x for name, x in options.items() if name not in PLAN_OPTIONS | COST_OPTIONS}
    plan = UnrollPlan(
        num_steps=_num_steps("1" if options["n"] == "full" else options["n"]),
        discount=_share("--teaforn-discount", options.get("discount", "1")),
        weights=None,
        feedback=build_feedback(options["feedback"], own),
        shifted=options["labels"] == "shifted",
        mix=_share("--teaforn-mix", options["mix"], curves=True),
        free_running=options["n"] == "full",
        share=_positions(options.get("sample_positions", 1.0)),
        every=_every(options.get("every", 1)),
        recompute=bool(options.get("recompute")),
    )
    weights = options.get("weights")
    if plan.free_running:
        _check_free_running(options)
    if weights is None:
        return plan
    if len(plan.num_steps.pieces) > 1:
        raise ValueError(
            f"--teaforn-weights: needs one number of steps throughout; received --teaforn-n"
            f" {options['n']} with --teaforn-weights {weights}. Use --teaforn-discount with a"
            " schedule."
        )
    plan = replace(plan, weights=_weights(plan.max_steps, weights))
    if plan.every > 1 and plan.weights[0] == 0:
        raise ValueError(
            "--teaforn-every: the updates between need the loss of step 1, so its weight must be"
            f" above 0; received {plan.every} with --teaforn-weights {weights}. Leave it out."
        )
    return plan


def _check_free_running(options: dict[str, Any]) -> None:
    idle = [
        name
        for name in ("discount", "weights", "labels", *sorted(COST_OPTIONS))
        if options.get(name) not in (None, "aligned")
    ]
    for name in idle:
        raise ValueError(
            f"--teaforn-{name.replace('_', '-')}: does nothing with --teaforn-n full, which has one"
            f" pass and aligned labels; received {options[name]}. Leave it out."
        )


def _positions(share: float) -> float:
    if not 0 < share <= 1:
        raise ValueError(
            f"--teaforn-sample-positions: must be above 0 and at most 1; received {share}."
        )
    return share


def _every(updates: int) -> int:
    if updates < 1:
        raise ValueError(f"--teaforn-every: must be at least 1; received {updates}.")
    return updates


def _num_steps(text: str) -> Schedule:
    schedule = parse_schedule("--teaforn-n", text)
    if not all(value >= 1 and value.is_integer() for value in schedule.values):
        raise ValueError(
            "--teaforn-n: the number of unroll steps must be a whole number of at least 1; received"
            f" {text}. Use 1 for teacher forcing, 2 or more for TeaForN."
        )
    return schedule


def _share(flag: str, text: str, *, curves: bool = False) -> Schedule:
    schedule = parse_schedule(flag, text, curves=curves)
    if not all(0 <= value <= 1 for value in schedule.values):
        raise ValueError(f"{flag}: must lie between 0 and 1; received {text}.")
    return schedule


def _weights(num_steps: int, text: str) -> Weights:
    try:
        values = tuple(float(weight) for weight in text.split(","))
    except ValueError:
        raise ValueError(
            f"--teaforn-weights: must be comma-separated numbers, as in 1,0.5; received {text!r}."
        ) from None
    if len(values) != num_steps:
        raise ValueError(
            f"--teaforn-weights: needs one weight for each of the --teaforn-n {num_steps} steps;"
            f" received {len(values)}: {text!r}."
        )
    if not all(math.isfinite(value) and value >= 0 for value in values) or not any(values):
        raise ValueError(
            f"--teaforn-weights: must be finite, not negative and not all zero; received {text!r}."
        )
    return values
