"""BLEU as sums that add up: over batches, over ranks, and to sacreBLEU's corpus score.

BLEU of a corpus is a function of ten integers, and each of them is a sum over sentences. So every
batch logs its ten, fairseq adds them, and the score is taken from the sums.
"""

from collections.abc import Sequence
from typing import Any

import sacrebleu
from fairseq.logging import metrics
from sacrebleu.metrics.bleu import BLEU, MAX_NGRAM_ORDER

# In this order on every rank: fairseq sums the log over ranks by position, not by key.
STATISTICS = (
    "sys_len",
    "ref_len",
    *(f"counts_{order}" for order in range(MAX_NGRAM_ORDER)),
    *(f"totals_{order}" for order in range(MAX_NGRAM_ORDER)),
)


def statistics(
    name: str, hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str
) -> dict[str, int]:
    """What one batch adds to a corpus' BLEU.

    Args:
        name: what the score is logged as.
        hypotheses: detokenised text, one entry a sentence.
        references: their references, equally many.
        tokenize: sacreBLEU's tokenizer; "13a" is its default.

    Returns:
        ``_<name>_<statistic>``: the same keys in the same order for every batch.
    """
    bleu = sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenize)
    values = (bleu.sys_len, bleu.ref_len, *bleu.counts, *bleu.totals)
    return dict(zip(_keys(name), values, strict=True))


def log_bleu(name: str, logging_outputs: Sequence[dict[str, Any]]) -> None:
    """Log the score of all sentences validated so far under ``name``: 0 to 100, two decimals.

    Does nothing for outputs without :func:`statistics`, which are those of training.
    """
    keys = _keys(name)
    if not any(keys[0] in log for log in logging_outputs):
        return
    for key in keys:
        metrics.log_scalar(key, sum(log.get(key, 0) for log in logging_outputs))
    metrics.log_derived(name, lambda meters: _score([int(meters[key].sum) for key in keys]))


def _keys(name: str) -> list[str]:
    # fairseq shows no value whose name begins with an underscore.
    return [f"_{name}_{statistic}" for statistic in STATISTICS]


def _score(values: list[int]) -> float:
    sys_len, ref_len, *ngrams = values
    bleu = BLEU.compute_bleu(
        correct=ngrams[:MAX_NGRAM_ORDER],
        total=ngrams[MAX_NGRAM_ORDER:],
        sys_len=sys_len,
        ref_len=ref_len,
        smooth_method="exp",  # corpus_bleu's own; compute_bleu's default is none
    )
    return round(bleu.score, 2)
