"""Clean a parallel corpus: empty lines, lengths, ratio of lengths, duplicates, case.

Two passes over the text, a pair at a time. Only for duplicates is something kept in memory: 8 bytes
a pair while reading and 25 bytes a pair while sorting, 1 GB for 40 million pairs. Two different
pairs have the same 8 bytes with a probability of n^2 / 2^65, for 40 million 0.00004 that one pair
is dropped wrongly.
"""

import argparse
import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EVERY = 1_000_000  # pairs between two lines of progress


@dataclass(frozen=True)
class Limits:
    """What a pair must keep to; 0 switches a limit off.

    ``max_words`` holds for each side and counts words between spaces. ``ratio`` is that of the
    sides' characters: a German compound is one word, but as long as the English words for it.
    """

    max_words: int = 0
    ratio: float = 0.0


def main() -> None:
    """Clean the training pairs; validation and test only lose odd white space and case."""
    args = parse_args()
    try:
        clean(args)
    except OSError as error:
        raise SystemExit(f"error: {error}") from error


def clean(args: argparse.Namespace) -> None:
    """Write all splits.

    Raises:
        OSError: a file could not be read or written.
        SystemExit: no pair is left.
    """
    src, tgt = args.languages
    args.out.mkdir(parents=True, exist_ok=True)
    for split in ("test",) if args.valid_every else ("test", "valid"):
        paths = args.raw / f"{split}.{src}", args.raw / f"{split}.{tgt}"
        write(normalised(*paths, lowercase=args.lowercase), args.out, args.languages, split)
    paths = args.raw / f"train.{src}", args.raw / f"train.{tgt}"
    first = first_occurrences(hashes(*paths, lowercase=args.lowercase)) if args.dedupe else None
    counts: Counter[str] = Counter()
    limits = Limits(args.max_words, args.ratio)
    pairs = kept(normalised(*paths, lowercase=args.lowercase), limits, first, counts)
    write(pairs, args.out, args.languages, "train", valid_every=args.valid_every)
    dropped = ", ".join(f"{counts[x]} {x}" for x in REASONS)
    print(f"kept {counts['kept']} of {counts.total()} pairs; dropped: {dropped}")
    if not counts["kept"]:
        raise SystemExit("error: --max-words, --ratio: no pair is left.")


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--raw", type=Path, required=True, help="folder with train.SRC and so on")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--languages", nargs=2, required=True, metavar=("SRC", "TGT"))
    parser.add_argument("--max-words", type=int, default=0, help="of a side; 0: any")
    parser.add_argument("--ratio", type=float, default=0, help="of the sides' characters; 0: any")
    parser.add_argument("--dedupe", action="store_true", help="keep the first of equal pairs")
    parser.add_argument("--lowercase", action="store_true", help="all splits in lower case")
    parser.add_argument(
        "--valid-every", type=int, default=0, help="every so many cleaned pairs is for validation"
    )
    return parser.parse_args()


def read(path: Path) -> Iterator[str]:
    """Lines without their line feed; nothing else ends a line."""
    with open(path, "rb") as file:
        for line in file:
            yield line.decode("utf-8").removesuffix("\n")


def normalised(src: Path, tgt: Path, *, lowercase: bool = False) -> Iterator[tuple[str, str]]:
    """Pairs with one space for any run of white space, control characters of lines included."""
    for pair in zip(read(src), read(tgt), strict=True):
        source, target = (" ".join((x.lower() if lowercase else x).split()) for x in pair)
        yield source, target


def hashes(src: Path, tgt: Path, *, lowercase: bool = False) -> np.ndarray:
    """64 bits of BLAKE2b for each pair, in order."""
    found = array("Q")
    for source, target in normalised(src, tgt, lowercase=lowercase):
        digest = hashlib.blake2b(f"{source}\n{target}".encode(), digest_size=8).digest()
        found.append(int.from_bytes(digest))
    return np.frombuffer(found, dtype=np.uint64) if found else np.zeros(0, np.uint64)


def first_occurrences(values: np.ndarray) -> np.ndarray:
    """For each value whether it stands there for the first time; 7 7 8 7: yes no yes no."""
    order = np.argsort(values, kind="stable")
    sorted_values = values[order]
    first = np.ones(len(values), dtype=bool)
    first[order[1:][sorted_values[1:] == sorted_values[:-1]]] = False
    return first


REASONS = ("empty", "too long", "ratio", "duplicate")


def fault(source: str, target: str, limits: Limits) -> str | None:
    """Why a pair is no good, one of REASONS, or None; both sides normalised."""
    if not source or not target:
        return "empty"
    if limits.max_words and max(len(source.split()), len(target.split())) > limits.max_words:
        return "too long"
    shorter, longer = sorted((len(source), len(target)))
    if limits.ratio and longer > limits.ratio * shorter:
        return "ratio"
    return None


def kept(
    pairs: Iterator[tuple[str, str]],
    limits: Limits,
    first: np.ndarray | None,
    counts: Counter[str],
) -> Iterator[tuple[str, str]]:
    """The good pairs; counts what happened to all of them.

    Args:
        pairs: normalised.
        limits: see there.
        first: for each pair whether it is the first of its kind, or None to keep duplicates.
        counts: filled with "kept" and REASONS.
    """
    for number, (source, target) in enumerate(pairs):
        reason = fault(source, target, limits)
        if reason is None and first is not None and not first[number]:
            reason = "duplicate"
        counts[reason or "kept"] += 1
        if reason is None:
            yield source, target
        if (number + 1) % EVERY == 0:
            print(f"{number + 1} pairs read, {counts['kept']} kept", flush=True)


def write(
    pairs: Iterator[tuple[str, str]],
    out: Path,
    languages: list[str],
    split: str,
    *,
    valid_every: int = 0,
) -> None:
    """Write ``split``.*, and every ``valid_every``-th pair to valid.* instead (0: none)."""
    with ExitStack() as stack:
        files = {
            name: [stack.enter_context(open(out / f"{name}.{x}", "wb")) for x in languages]
            for name in ((split, "valid") if valid_every else (split,))
        }
        for number, pair in enumerate(pairs, start=1):
            held_out = valid_every and number % valid_every == 0
            for file, text in zip(files["valid" if held_out else split], pair, strict=True):
                file.write(f"{text}\n".encode())


if __name__ == "__main__":
    main()
