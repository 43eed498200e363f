"""What fairseq-generate has printed, and other text of a sentence a line."""

import re
from pathlib import Path

SPEED = re.compile(r"Translated .* \(([\d.]+) sentences/s")


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file, ended by line feeds alone as in fairseq."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def read_hypotheses(path: Path, count: int) -> list[str]:
    """Detokenised hypotheses from fairseq-generate's output, in the order of the test set.

    Raises:
        ValueError: they are not exactly the sentences 0 to ``count - 1``.
    """
    found = numbered(path, "D")
    if sorted(found) != list(range(count)):
        raise ValueError(
            f"{path}: {len(found)} hypotheses for {count} references. Generate with"
            " --required-batch-size-multiple 1, or fairseq leaves the last sentences out."
        )
    return [found[number] for number in range(count)]


def numbered(path: Path, kind: str) -> dict[int, str]:
    """The texts of fairseq-generate's lines of a kind, by the number of the sentence.

    Args:
        path: what it printed.
        kind: "S", a source, or "D", a detokenised hypothesis.
    """
    rows = (line[2:].split("\t") for line in read_lines(path) if line.startswith(f"{kind}-"))
    return {int(row[0]): "\t".join(row[2 if kind == "D" else 1 :]) for row in rows}


def sentences_per_second(told: str) -> float:
    """The speed that fairseq-generate told, of its search alone.

    Raises:
        ValueError: it did not.
    """
    found = SPEED.search(told)
    if found is None:
        raise ValueError("fairseq-generate did not tell how many sentences it translated.")
    return float(found[1])
