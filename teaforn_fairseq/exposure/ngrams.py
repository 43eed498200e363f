"""Repetition within texts and variety over all of them, counted in n-grams of words.

    repeated-n   n-grams that occurred before in the same text, of all n-grams
    distinct-n   different n-grams of all texts together, of all n-grams

Source of distinct-n: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation
Models", NAACL 2016; repeated-n is the seq-rep-n of Welleck et al., "Neural Text Generation with
Unlikelihood Training", ICLR 2020, with sums over all texts in place of a mean of their shares.
"""

from collections.abc import Iterable, Sequence

ORDERS = (1, 2, 3, 4)


class NGrams:
    """Counts over texts that come one by one."""

    def __init__(self) -> None:
        self.all = dict.fromkeys(ORDERS, 0)
        self.repeated = dict.fromkeys(ORDERS, 0)
        self.seen: dict[int, set[tuple[str, ...]]] = {n: set() for n in ORDERS}
        self.texts = self.words = 0

    def add(self, words: Sequence[str]) -> None:
        """Count the n-grams of a text."""
        self.texts += 1
        self.words += len(words)
        for n in ORDERS:
            grams = list(zip(*(words[start:] for start in range(n)), strict=False))
            different = set(grams)
            self.all[n] += len(grams)
            self.repeated[n] += len(grams) - len(different)
            self.seen[n] |= different

    def figures(self) -> Iterable[tuple[tuple[str, str], float]]:
        """``repeated`` and ``distinct`` at each n, in percent, and ``words`` a text.

        What has no n-gram at all has no share of them.
        """
        different = {n: len(seen) for n, seen in self.seen.items()}
        for name, counts in {"repeated": self.repeated, "distinct": different}.items():
            for n in ORDERS:
                if self.all[n]:
                    yield (name, str(n)), 100 * counts[n] / self.all[n]
        if self.texts:
            yield ("words", ""), self.words / self.texts
