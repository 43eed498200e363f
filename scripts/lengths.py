"""Leave pairs that are too long for a model out of split text, openly, before fairseq does with a
line in its log; and record the longest that stay.

Lengths count subwords, without the end of sentence. The test set is never shortened: a source that
is too long stops, and a reference is cut for fairseq alone, as scores are against the raw text.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

SIDES = ("source", "target")


@dataclass
class Survey:
    """What a split holds: pairs, those that are too long, sources that are cut, and the longest
    source and target of the other pairs."""

    pairs: int = 0
    long: int = 0
    cut: int = 0
    source: int = 0
    target: int = 0


def main() -> None:
    """Go through the splits."""
    args = parse_args()
    longest = {}
    try:
        for split in ("train", "valid", "test"):
            found = go_through(split, args)
            longest[split] = {side: getattr(found, side) for side in SIDES}
        args.json.write_text(json.dumps({"longest": longest}) + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="folder of train.SRC and so on")
    parser.add_argument("--languages", nargs=2, required=True, metavar=("SRC", "TGT"))
    parser.add_argument(
        "--most", type=int, required=True, help="subwords of a side, of training and validation"
    )
    parser.add_argument(
        "--positions", type=int, default=1023, help="that a model takes (default: %(default)s)"
    )
    parser.add_argument(
        "--truncate-source",
        action="store_true",
        help="fairseq is told to cut sources at the positions, so that none is too long",
    )
    parser.add_argument("--json", type=Path, required=True, help="file for the longest lengths")
    return parser.parse_args()


def go_through(split: str, args: argparse.Namespace) -> Survey:
    """Survey a split, tell what was found and shorten it where it must be.

    Raises:
        ValueError: no pair is left, or the test set has a source that is too long.
    """
    paths = [args.text / f"{split}.{language}" for language in args.languages]
    found = survey(paths, args, args.positions if split == "test" else args.most)
    if found.cut:
        print(f"{split}: {found.cut} of {found.pairs} sources are cut after {args.positions}")
    if found.long == found.pairs and split != "test":
        raise ValueError(f"--most: no pair of {split} is left.")
    if found.long and split == "test":
        found = cut_references(paths, args, found)
    elif found.long:
        print(f"{split}: left out {found.long} of {found.pairs} pairs longer than {args.most}")
        filter_pairs(paths, args)
    print(f"{split}: longest source {found.source}, target {found.target} subwords", flush=True)
    return found


def sizes(paths: list[Path], args: argparse.Namespace) -> Iterator[tuple[int, int, bool]]:
    """Subwords of each source, as the model gets it, and target; and whether the source is cut."""
    with open(paths[0], "rb") as sources, open(paths[1], "rb") as targets:
        for pair in zip(sources, targets, strict=True):
            source, target = (len(line.split()) for line in pair)
            cut = args.truncate_source and source > args.positions
            yield args.positions if cut else source, target, cut


def survey(paths: list[Path], args: argparse.Namespace, most: int) -> Survey:
    """Go through a split; a pair is too long if a side has more than ``most``."""
    found = Survey()
    for source, target, cut in sizes(paths, args):
        found.pairs += 1
        found.cut += cut
        if max(source, target) > most:
            found.long += 1
        else:
            found.source = max(found.source, source)
            found.target = max(found.target, target)
    return found


def filter_pairs(paths: list[Path], args: argparse.Namespace) -> None:
    """Keep the pairs that are not too long."""
    partial = [path.with_name(f"{path.name}.partial") for path in paths]
    with ExitStack() as stack:
        read = [stack.enter_context(open(path, "rb")) for path in paths]
        write = [stack.enter_context(open(path, "wb")) for path in partial]
        for pair, (source, target, _) in zip(
            zip(*read, strict=True), sizes(paths, args), strict=True
        ):
            if max(source, target) <= args.most:
                for file, line in zip(write, pair, strict=True):
                    file.write(line)
    for source, target in zip(partial, paths, strict=True):
        os.replace(source, target)


def cut_references(paths: list[Path], args: argparse.Namespace, found: Survey) -> Survey:
    """Cut the test set's references at the positions.

    Raises:
        ValueError: a source is too long.
    """
    longest = max(source for source, _, _ in sizes(paths, args))
    if longest > args.positions:
        raise ValueError(
            f"{paths[0]}: a sentence of the test set has {longest} subwords; a model takes"
            f" {args.positions}. Split it, or fairseq would leave it out."
        )
    print(
        f"test: {found.long} references are cut after {args.positions}; scores are of the raw text"
    )
    partial = paths[1].with_name(f"{paths[1].name}.partial")
    with open(paths[1], "rb") as read, open(partial, "wb") as write:
        for line in read:
            write.write(b" ".join(line.split()[: args.positions]) + b"\n")
    os.replace(partial, paths[1])
    return Survey(found.pairs, 0, found.cut, longest, args.positions)


if __name__ == "__main__":
    main()
