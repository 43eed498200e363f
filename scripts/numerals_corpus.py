"""Write a parallel corpus of numerals and dates, English to German, from num2words and Babel.

A real, if small, translation task that needs no download: German says "dreiundzwanzig" for
"twenty-three", in one word, and orders dates otherwise. The same seed gives the same
files; no pair stands in two of them.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from babel.dates import format_date
from num2words import num2words

SPLITS = ("train", "valid", "test")
FIRST_DAY = date(1900, 1, 1)
NUM_DAYS = 73_000  # two hundred years
DATE_FORMATS = ("full", "long", "medium")

Pair = tuple[str, str]


def main() -> None:
    """Read the options and write the corpus."""
    args = parse_args()
    if min(args.train, args.valid, args.test) < 1:
        sizes = f"{args.train}, {args.valid}, {args.test}"
        raise SystemExit(f"error: --train, --valid, --test: must be at least 1; received {sizes}")
    sizes = dict(zip(SPLITS, (args.train, args.valid, args.test), strict=True))
    pairs = unique_pairs(random.Random(args.seed))
    args.out.mkdir(parents=True, exist_ok=True)
    for split, size in sizes.items():
        write_split(args.out / split, [next(pairs) for _ in range(size)])


def parse_args() -> argparse.Namespace:
    """Options of the command line, defaults in --help."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for train.en, train.de, ..."
    )
    parser.add_argument("--train", type=int, default=22_000, help="pairs for training")
    parser.add_argument("--valid", type=int, default=500, help="pairs for validation")
    parser.add_argument("--test", type=int, default=500, help="pairs for the test")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices")
    return parser.parse_args()


def unique_pairs(rng: random.Random) -> Iterator[Pair]:
    """Yield pairs without end, never one that came before."""
    seen: set[Pair] = set()
    while True:
        pair = rng.choice(SENTENCES)(rng)
        if pair not in seen:
            seen.add(pair)
            yield pair


def number(rng: random.Random) -> Pair:
    """A cardinal below a hundred thousand, short ones as likely as long ones."""
    n = rng.randrange(10 ** rng.randint(2, 5))
    return num2words(n, lang="en"), num2words(n, lang="de")


def day(rng: random.Random) -> Pair:
    """A date as each language writes it."""
    when = FIRST_DAY + timedelta(days=rng.randrange(NUM_DAYS))
    style = rng.choice(DATE_FORMATS)
    return format_date(when, style, locale="en"), format_date(when, style, locale="de")


def dated_number(rng: random.Random) -> Pair:
    """A date and a numeral in one sentence."""
    (day_en, day_de), (number_en, number_de) = day(rng), number(rng)
    return f"{day_en}: {number_en}", f"{day_de}: {number_de}"


SENTENCES: tuple[Callable[[random.Random], Pair], ...] = (number, day, dated_number)


def write_split(prefix: Path, pairs: list[Pair]) -> None:
    """Write ``<prefix>.en`` and ``<prefix>.de``, a sentence a line."""
    for language, lines in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
        text = "".join(f"{line}\n" for line in lines)
        prefix.with_suffix(f".{language}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
