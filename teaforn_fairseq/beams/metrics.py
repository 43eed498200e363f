"""Corpus scores of detokenised hypotheses against raw references: sacreBLEU, chrF2 and ROUGE."""

import re
from importlib.metadata import version
from statistics import fmean

from sacrebleu.metrics.bleu import BLEU, BLEUScore
from sacrebleu.metrics.chrf import CHRF

from teaforn_fairseq.beams.statistics import paired_test

SAMPLES = 1000


class Metric:
    """A corpus score. ``columns`` maps the keys of :meth:`score` to titles."""

    name: str
    columns: dict[str, str]
    signature: str

    def score(self, hypotheses: list[str], references: list[str]) -> dict[str, float]:
        """Scores from 0 to 100, hypotheses against as many references in the same order."""
        raise NotImplementedError


class SacreBLEU(Metric):
    """sacreBLEU of detokenised hypotheses against raw references, tokenizer 13a."""

    name = "bleu"
    columns = {"bleu": "BLEU"}

    def __init__(self, *, lowercase: bool = False, test_set: str | None = None, **_: object):
        self.bleu = BLEU(lowercase=lowercase)
        self.test_set = test_set
        self.signature = ""

    def score(self, hypotheses: list[str], references: list[str]) -> dict[str, float]:
        return {"bleu": self.whole_score(hypotheses, references).score}

    def whole_score(self, hypotheses: list[str], references: list[str]) -> BLEUScore:
        """The same with brevity penalty and lengths; the signature is there afterwards."""
        score = self.bleu.corpus_score(hypotheses, [references])
        signature = self.bleu.get_signature()
        if self.test_set:
            test_set, pair = self.test_set.split(":")
            signature.update("test", test_set)
            signature.update("lang", pair)
        self.signature = f"sacreBLEU {signature}"
        return score

    def p_values(self, systems: list[list[str]], references: list[str]) -> list[float]:
        """How likely each system's distance from the first is, if both were equally good.

        By sacreBLEU's paired bootstrap over the sentences, SAMPLES times. It knows one training of
        each system, and nothing of how much another seed would change.

        Args:
            systems: hypotheses of each, the baseline's first.
            references: as many sentences in the same order.

        Returns:
            p of all systems but the first.
        """
        results = paired_test(self.bleu, systems, references, "bs", SAMPLES)
        return [result.p_value for result in results[1:]]


class Rouge(Metric):
    """Mean F of ROUGE-1, ROUGE-2, ROUGE-L and the summary-level ROUGE-Lsum, stemmed.

    ROUGE-Lsum, which summarization papers call ROUGE-L, needs sentences: both sides are split after
    ``.``, ``!`` and ``?`` before a space.
    """

    name = "rouge"
    columns = {"rouge1": "R1", "rouge2": "R2", "rougeL": "RL", "rougeLsum": "RLsum"}

    def __init__(self, **_: object):
        from rouge_score.rouge_scorer import RougeScorer

        self.scorer = RougeScorer(list(self.columns), use_stemmer=True)
        self.signature = f"rouge-score {version('rouge-score')}, F, stemmer, no bootstrap"

    def score(self, hypotheses: list[str], references: list[str]) -> dict[str, float]:
        scores = [
            self.scorer.score(sentences(reference), sentences(hypothesis))
            for hypothesis, reference in zip(hypotheses, references, strict=True)
        ]
        return {x: 100 * fmean(score[x].fmeasure for score in scores) for x in self.columns}


def sentences(text: str) -> str:
    """A sentence a line."""
    return re.sub(r"(?<=[.!?])\s+", "\n", text.strip())


# What is told of each metric: its scores, the first of which stands for it in a picture.
COLUMNS = {"bleu": ["bleu"], "chrf": ["chrf"], "rouge": ["rougeLsum", "rouge1", "rouge2", "rougeL"]}
TITLES = {**SacreBLEU.columns, "chrf": "chrF2", **{x: f"ROUGE-{x[5:]}" for x in Rouge.columns}}
OF_BLEU = ("brevity_penalty", "length_ratio")


def scores_of(name: str, hypotheses: list[str], reference: list[str]) -> dict[str, float]:
    """The columns of a metric, 0 to 100, and with ``bleu`` those of OF_BLEU, to four digits.

    Args:
        name: a key of COLUMNS.
        hypotheses: detokenised.
        reference: as many, raw.

    Returns:
        The brevity penalty is from 0 to 1, the length ratio tokens of the hypotheses to those of
        the references.
    """
    if name == "bleu":
        bleu = SacreBLEU().whole_score(hypotheses, reference)
        found = {"bleu": bleu.score, "brevity_penalty": bleu.bp, "length_ratio": bleu.ratio}
    elif name == "chrf":
        found = {"chrf": CHRF().corpus_score(hypotheses, [reference]).score}
    else:
        found = Rouge().score(hypotheses, reference)
    return {column: round(value, 4) for column, value in found.items()}
