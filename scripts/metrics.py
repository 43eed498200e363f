"""The scores of the recipes: sacreBLEU, tokenised lower-case BLEU, ROUGE and exact matches."""

import re
from importlib.metadata import version
from statistics import fmean

from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

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
        score = self.bleu.corpus_score(hypotheses, [references]).score
        signature = self.bleu.get_signature()
        if self.test_set:
            test_set, pair = self.test_set.split(":")
            signature.update("test", test_set)
            signature.update("lang", pair)
        self.signature = f"sacreBLEU {signature}"
        return {"bleu": score}

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
        named = [(str(number), hypotheses) for number, hypotheses in enumerate(systems)]
        _, results = PairedTest(named, {"BLEU": self.bleu}, [references], "bs", SAMPLES)()
        return [result.p_value for result in results["BLEU"][1:]]


class TokenisedBLEU(Metric):
    """Tokenised lower-case BLEU, as multi-bleu.perl and fairseq-generate count it.

    Both sides are lower-cased and tokenised by sacremoses, the Python port of the Moses tokenizer
    that fairseq's prepare-iwslt14.sh runs. Not comparable with sacreBLEU.
    """

    name = "tokenised"
    columns = {"bleu_tokenised": "tokenised BLEU"}

    def __init__(self, *, language: str = "en", **_: object):
        from sacremoses import MosesTokenizer

        tokenizer = MosesTokenizer(lang=language)
        self.tokenise = lambda text: tokenizer.tokenize(text.lower(), return_str=True)
        # force: sacreBLEU otherwise warns that the text is tokenised, which is the point.
        self.bleu = BLEU(tokenize="none", smooth_method="none", force=True)
        self.signature = (
            f"tokenised lower-case BLEU, sacremoses {version('sacremoses')}, language {language}"
        )

    def score(self, hypotheses: list[str], references: list[str]) -> dict[str, float]:
        sides = [[self.tokenise(text) for text in side] for side in (hypotheses, references)]
        return {"bleu_tokenised": self.bleu.corpus_score(sides[0], [sides[1]]).score}


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


class Exact(Metric):
    """Share of the hypotheses that are their references, letter by letter, in percent.

    A task's chance, in percent as well, is a column beside it.
    """

    name = "exact"
    columns = {"exact": "exact"}

    def __init__(self, *, chance: float | None = None, **_: object):
        self.chance = chance
        self.signature = "exact: hypotheses that are their references, in percent"

    def score(self, hypotheses: list[str], references: list[str]) -> dict[str, float]:
        return {"exact": 100 * fmean(map(str.__eq__, hypotheses, references))}


METRICS = {metric.name: metric for metric in (SacreBLEU, TokenisedBLEU, Rouge, Exact)}
