"""From the criterion's options to the unroll and its weights at any number of updates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from teaforn_fairseq.feedbacks import FEEDBACKS, Feedback, build_feedback
from teaforn_fairseq.unroll.schedule import Schedule, parse_schedule
from teaforn_fairseq.unroll.steps import UnrollSettings

Weights = tuple[float, ...]


class AtUpdate(NamedTuple):
    """The plan at one number of updates.

    Attributes:
        settings: how to unroll.
        weights: lambda_1..lambda_N, those of steps 2..N times ``factor``.
        share: r of the tokens of steps 2..N that are projected.
        factor: k where steps 2..N run for k updates, otherwise 1.
        skips: whether steps 2..N are left to another update.
    """

    settings: UnrollSettings
    weights: Weights
    share: float = 1.0
    factor: int = 1
    skips: bool = False


@dataclass(frozen=True)
class UnrollPlan:
    """How training unrolls the decoder, update by update.

    Attributes:
        settings: what holds at every update; N and q in it do not count.
        num_steps: N, whole numbers of at least 1.
        discount: 0 to 1; the weight of step i is discount^(i-1).
        weights: lambda_1..lambda_N where they are given one by one, which wins over the discount.
        mix: q, 0 to 1.
        share: r, above 0, at most 1: share of the tokens of steps 2..N that training projects.
        every: k >= 1: training runs steps 2..N at every k-th update, k times as heavy.
        normalize: divide the weights by their sum, before ``every`` makes some heavier.
    """

    settings: UnrollSettings
    num_steps: Schedule
    discount: Schedule
    weights: Weights | None
    mix: Schedule
    share: float
    every: int
    normalize: bool

    @property
    def feedback(self) -> Feedback:
        """f."""
        return self.settings.feedback

    @property
    def free_running(self) -> bool:
        """One pass, slot by slot, in place of N steps."""
        return self.settings.free_running

    @property
    def max_steps(self) -> int:
        """The largest N of all updates."""
        return int(max(self.num_steps.values))

    @property
    def feeds_back(self) -> bool:
        """Whether there is an update at which f is asked."""
        return self.free_running or self.max_steps > 1

    def at(self, update: int, training: bool = True) -> AtUpdate:
        """The unroll and its weights at this number of updates.

        Validation is whole. Training leaves out the last steps as long as their weight is 0, and
        with ``--teaforn-every`` steps 2..N but at every k-th update, where they weigh k times as
        much.
        """
        weights = self._planned(update)
        settings = replace(self.settings, num_steps=len(weights), mix=self.mix(update))
        if not training:
            return AtUpdate(settings, weights)
        first, *ahead = _without_idle(weights)
        skips = update % self.every > 0 and bool(ahead)
        weights = (first,) if skips else (first, *(self.every * weight for weight in ahead))
        settings = replace(settings, num_steps=len(weights))
        return AtUpdate(settings, weights, self.share, self.every, skips)

    def left_out(self) -> list[str]:
        """The steps that training never runs because of their weight, in words, and when."""
        starts = sorted({*self.num_steps.starts, *self.discount.starts})
        ends = [f"to {start - 1}" for start in starts[1:]] + ["on"]
        found = []
        for start, end in zip(starts, ends, strict=True):
            planned = self._planned(start)
            first, last = len(_without_idle(planned)) + 1, len(planned)
            if first <= last:
                steps = f"step {last}" if first == last else f"steps {first} to {last}"
                found.append(f"{steps} from update {start} {end}")
        return found

    def _planned(self, update: int) -> Weights:
        num_steps, discount = int(self.num_steps(update)), self.discount(update)
        weights = self.weights or tuple(discount**step for step in range(num_steps))
        size = sum(weights) if self.normalize else 1
        return tuple(weight / size for weight in weights)


def _without_idle(weights: Weights) -> Weights:
    """The weights up to the last step that teaches something: no later one reads what follows."""
    return weights[: max(step for step, weight in enumerate(weights, start=1) if weight > 0)]


def make_plan(options: Mapping[str, Any]) -> UnrollPlan:
    """Read the options that are in force, named as on the command line without ``--teaforn-``.

    Args:
        options: the flags' defaults at least, ``weights`` and the feedback's own options where
            they are given.

    Raises:
        ValueError: a value out of its range, or an option that the feedback does not read; the
            message names flag, rule and value.
    """
    n, free_running = options["n"], options["n"] == "full"
    ours = {
        "num_steps": 1,
        "feedback": build_feedback(options["feedback"], _of_feedbacks(options)),
        "shifted": options["labels"] == "shifted",
        "mix": 1.0,
        "free_running": free_running,
    }
    plan = UnrollPlan(
        settings=UnrollSettings(**named(UnrollSettings, options) | ours),
        num_steps=_num_steps("1" if free_running else n),
        discount=_share("--teaforn-discount", options.get("discount", "1")),
        weights=None,
        mix=_share("--teaforn-mix", options["mix"], curves=True),
        share=_positions(options["sample_positions"]),
        every=_every(options["every"]),
        normalize=options.get("normalize", False),
    )
    return _weigh(plan, n, options.get("weights"))


def _weigh(plan: UnrollPlan, n: str, text: str | None) -> UnrollPlan:
    """The plan with the weights that were given one by one."""
    if text is None:
        return plan
    if len(plan.num_steps.pieces) > 1:
        raise ValueError(
            f"--teaforn-weights: needs one number of steps throughout; received --teaforn-n {n}"
            f" with --teaforn-weights {text}. Use --teaforn-discount with a schedule."
        )
    by_hand = _weights(plan.max_steps, text)
    if plan.every > 1 and by_hand[0] == 0:
        raise ValueError(
            "--teaforn-every: the updates between need the loss of step 1, so its weight must be"
            f" above 0; received {plan.every} with --teaforn-weights {text}. Leave it out."
        )
    return replace(plan, weights=by_hand)


def named(settings: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that bear the name of a field of these settings, which they fill."""
    return {x.name: options[x.name] for x in fields(settings) if x.name in options}


def _of_feedbacks(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for kind in FEEDBACKS.values() for name, x in named(kind, options).items()}


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
    if not 0 < sum(values) < math.inf or min(values) < 0:
        raise ValueError(
            f"--teaforn-weights: must be finite, not negative and not all zero; received {text!r}."
        )
    return values
