"""The scores of the recipes: the package's, tokenised lower-case BLEU and exact matches."""

from importlib.metadata import version
from statistics import fmean

from sacrebleu.metrics import BLEU

from teaforn_fairseq.beams.metrics import Metric, Rouge, SacreBLEU


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
