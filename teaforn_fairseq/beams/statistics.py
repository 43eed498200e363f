"""How two systems differ: over seeds by a t interval, on one seed's sentences by sacreBLEU's paired
approximate randomization, and whether readers would see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

TRIALS = 10_000
CONFIDENCE = 0.95
TESTED: dict[str, type[BLEU] | type[CHRF]] = {"bleu": BLEU, "chrf": CHRF}


@dataclass(frozen=True)
class Interval:
    """A mean difference and the ends of its interval; None: of one seed there is none."""

    mean: float
    low: float | None
    high: float | None


def t_interval(differences: Sequence[float]) -> Interval:
    """Student's t interval of paired differences, one a seed.

    mean -+ t(CONFIDENCE, n - 1) * s / sqrt(n), s the standard deviation with n - 1. Equal
    differences have an interval of no width.

    Args:
        differences: at least one.
    """
    from scipy import stats  # here, because it takes a second

    mean = fmean(differences)
    if len(differences) == 1:
        return Interval(mean, None, None)
    error = float(stats.sem(differences))
    if error == 0:
        return Interval(mean, mean, mean)
    low, high = stats.t.interval(CONFIDENCE, len(differences) - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))


def p_value(metric: str, baseline: list[str], system: list[str], reference: list[str]) -> float:
    """By TRIALS trials: how likely a difference as large is between two that are equally good.

    It knows one training of each. sacreBLEU counts the trials with a larger difference, not those
    with the same one: two systems with the same translations, or with a single one that is
    different, would get the least p that there is. So equal scores have p = 1, and others at least
    2 of the 2**k ways to exchange the k translations that differ: none of them and all of them have
    the same difference.

    Args:
        metric: a key of TESTED.
        baseline: hypotheses.
        system: as many.
        reference: as many.
    """
    first, second = paired_test(TESTED[metric](), [baseline, system], reference, "ar", TRIALS)
    differ = sum(map(str.__ne__, baseline, system))
    return 1.0 if first.score == second.score else max(float(second.p_value), 2.0 ** (1 - differ))


def paired_test(
    metric: BLEU | CHRF, systems: Sequence[list[str]], reference: list[str], kind: str, number: int
) -> list[Any]:
    """sacreBLEU's results for each system, of which all but the first have a ``p_value``.

    Args:
        metric: of sacreBLEU.
        systems: hypotheses of each, the baseline's first.
        reference: as many sentences in the same order.
        kind: "ar", approximate randomization, or "bs", bootstrap.
        number: of trials or samples.
    """
    named: list[tuple[str, Sequence[str]]] = [(str(x), y) for x, y in enumerate(systems)]
    _, results = PairedTest(named, {"": metric}, [reference], kind, number)()
    return list(results.values())[-1]  # behind the names of the systems


def agreement(metric: str, difference: float | None) -> float | None:
    """In percent of the pairs of systems with such a difference: people saw the same one ahead.

    By mt-thresholds (Kocmi et al., "Navigating the Metrics Maze", ACL 2024), which knows BLEU and
    chrF of translations; None for others. Below 50 the difference says nothing.
    """
    if difference is None or metric not in TESTED:
        return None
    import mt_thresholds  # here, because it comes with an extra

    return mt_thresholds.accuracy(abs(difference), metric)


def compared(column: str, values: Mapping[int, float], base: Mapping[int, float]) -> dict[str, Any]:
    """Scores by seed, mean and standard deviation, and the difference to others with its t interval
    over the seeds that both have; None where there are too few seeds.

    Args:
        column: name of the score.
        values: by seed.
        base: those to compare with.
    """
    differences = [value - base[seed] for seed, value in values.items() if seed in base]
    interval = t_interval(differences) if differences else None
    numbers = {
        "mean": fmean(values.values()),
        "sd": stdev(values.values()) if len(values) > 1 else None,
        "difference": interval and interval.mean,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "agreement": agreement(column, interval and interval.mean),
    }
    row: dict[str, Any] = {column: " ".join(f"{value:.2f}" for value in values.values())}
    for name, value in numbers.items():
        row[f"{column}_{name}"] = None if value is None else round(value, 2) + 0.0  # and no -0
    return row


def signatures() -> dict[str, str]:
    """sacreBLEU's signatures of the scores, and of the test of their differences."""
    found = {}
    for name, kind in TESTED.items():
        metric = kind()
        metric.corpus_score(["a"], [["a"]])  # else it does not know how many references there are
        found[name] = str(metric.get_signature())
        paired = PairedTest([("", ["a"])], {name: kind()}, [["a"]], "ar", TRIALS)()[0]
        found[f"{name}_p"] = str(next(iter(paired.values())))
    return found
