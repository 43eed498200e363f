"""What the first unroll step predicts at each target token: the model that decodes, behind gold.

C features, V vocabulary, n target tokens.
"""

import math
from collections import Counter
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from teaforn_fairseq.decoders.vocabulary import Vocabulary
from teaforn_fairseq.loss.chunks import rows_at_once

BINS = 15


class Words:
    """Sums over the target tokens, on the device, in double precision.

    Args:
        vocabulary_size: V.
        device: where the model is.
    """

    def __init__(self, vocabulary_size: int, device: torch.device) -> None:
        self.ranks = torch.zeros(vocabulary_size, dtype=torch.long, device=device)
        # Of each bin of confidence: tokens, right ones, summed confidence.
        self.bins = torch.zeros(BINS, 3, dtype=torch.double, device=device)
        self.sums: dict[str, Tensor] = {}
        self.counts: Counter[str] = Counter()

    def add(self, features: Tensor, labels: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Count tokens.

        Args:
            features: (n, C) of step 1.
            labels: (n,) the gold tokens.
            vocabulary: E and W.

        Returns:
            (n,) the likeliest words.
        """
        size = rows_at_once(vocabulary.projection[0])
        chunks = zip(features.split(size), labels.split(size), strict=True)
        return torch.cat([labels[:0], *(self._add(h, y, vocabulary) for h, y in chunks)])

    def _add(self, h: Tensor, y: Tensor, vocabulary: Vocabulary) -> Tensor:
        log_p = _wide(vocabulary.logits(h)).log_softmax(-1)
        p = log_p.exp()
        confidence, best = p.max(-1)
        gold = log_p.gather(-1, y.unsqueeze(-1))
        rank = log_p.gt(gold).sum(-1)  # 0 where no word is likelier
        self.ranks += torch.bincount(rank, minlength=len(self.ranks))
        self._calibrate(confidence.double(), best.eq(y))
        self._sum(
            entropy=torch.special.entr(p).sum(-1) / math.log(2),
            confidence=confidence,
            probability=gold.exp(),
            reciprocal_rank=1 / (rank + 1).double(),
        )
        if vocabulary.embed(best[:1]).size(-1) == h.size(-1):
            self._compare(_wide(h), _wide(vocabulary.embed(best)), _wide(vocabulary.embed(y)))
        return best

    def _calibrate(self, confidence: Tensor, right: Tensor) -> None:
        place = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # ((m - 1) / M, m / M]
        counted = torch.stack([torch.ones_like(confidence), right.double(), confidence], dim=-1)
        self.bins.index_add_(0, place, counted)

    def _compare(self, h: Tensor, predicted: Tensor, gold: Tensor) -> None:
        """h_t with E of two words, which stand for it in the next slot: (n, C) each."""
        length = predicted.norm(dim=-1)  # <pad> has none, if its row is zero
        self._sum(
            cosine_predicted=F.cosine_similarity(h, predicted, dim=-1),
            cosine_gold=F.cosine_similarity(h, gold, dim=-1),
            norm_ratio=(h.norm(dim=-1) / length)[length > 0],
        )

    def _sum(self, **values: Tensor) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value.double().sum()
            self.counts[name] += len(value)

    def figures(self) -> Iterable[tuple[tuple[str, str], float]]:
        """Means over the tokens, and what the bins and ranks say; none of no token."""
        tokens = int(self.ranks.sum())
        if tokens == 0:
            return
        for name, value in self.sums.items():
            if self.counts[name]:
                yield (name, ""), float(value) / self.counts[name]
        yield ("median_rank", ""), _median(self.ranks.cpu())
        count, right, confidence = self.bins.cpu().unbind(-1)
        gap = (right - confidence).abs().sum() / tokens
        yield ("calibration_error", ""), 100 * float(gap)
        for number in count.nonzero().flatten().tolist():
            at, many = str(number + 1), float(count[number])
            yield ("bin_share", at), 100 * many / tokens
            yield ("bin_accuracy", at), 100 * float(right[number]) / many
            yield ("bin_confidence", at), 100 * float(confidence[number]) / many


def _wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _median(ranks: Tensor) -> float:
    """The median rank, from 1, of how often each rank occurs; between two it is their mean."""
    ends, tokens = ranks.cumsum(0), int(ranks.sum())
    middle = torch.tensor([(tokens - 1) // 2, tokens // 2])
    return float(torch.searchsorted(ends, middle, right=True).double().mean()) + 1
