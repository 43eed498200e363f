"""How two systems differ: over seeds by a t interval, on one seed's sentences by sacreBLEU's paired
approximate randomization."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest
from scipy import stats

TRIALS = 10_000
CONFIDENCE = 0.95


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
    mean = fmean(differences)
    if len(differences) == 1:
        return Interval(mean, None, None)
    error = float(stats.sem(differences))
    if error == 0:
        return Interval(mean, mean, mean)
    low, high = stats.t.interval(CONFIDENCE, len(differences) - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))


def p_values(baseline: list[str], system: list[str], reference: list[str]) -> tuple[float, float]:
    """p of BLEU and of chrF2, by TRIALS trials: how likely a difference as large is between two
    that are equally good. It knows one training of each.

    Equal scores have p = 1. sacreBLEU counts the trials with a larger difference, so that it would
    give two systems with the same translations the least p that there is.

    Args:
        baseline: hypotheses.
        system: as many.
        reference: as many.
    """
    systems = [("baseline", baseline), ("system", system)]
    metrics = {"BLEU": BLEU(), "chrF2": CHRF()}
    _, results = PairedTest(systems, metrics, [reference], "ar", TRIALS)()
    pairs = [results[name] for name in metrics]
    bleu, chrf = (1.0 if a.score == b.score else float(b.p_value) for a, b in pairs)
    return bleu, chrf


def signatures() -> dict[str, str]:
    """sacreBLEU's signatures of the scores, and of the test of their differences."""
    found = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        found[name] = str(_signature_after_use(metric))
        paired = PairedTest([("", ["a"])], {name: type(metric)()}, [["a"]], "ar", TRIALS)()[0]
        found[f"{name}_p"] = str(next(iter(paired.values())))
    return found


def _signature_after_use(metric: BLEU | CHRF) -> object:
    metric.corpus_score(["a"], [["a"]])  # else it does not know how many references there are
    return metric.get_signature()
