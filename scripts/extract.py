"""Write the raw text of a data set's splits from its archives, a sentence a line."""

import argparse
import hashlib
import os
import shutil
from pathlib import Path

import archives
import stories

SPLITS = ("train", "valid", "test")
PROGRESS = 5_000_000  # lines between two words of it


def main() -> None:
    """Run the chosen subcommand."""
    args = parse_args()
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("verify", help="read archives to their end")
    check.add_argument("archives", type=Path, nargs="+")
    check.set_defaults(run=lambda args: [archives.verify(path) for path in args.archives])
    text = commands.add_parser("text", help="write OUT/{train,valid,test}.{SRC,TGT}")
    text.add_argument("--folder", type=Path, required=True, help="where the archives are")
    text.add_argument("--out", type=Path, required=True, help="folder to write to")
    text.add_argument("--languages", nargs=2, required=True, metavar=("SRC", "TGT"))
    for split in SPLITS:
        text.add_argument(
            f"--{split}",
            nargs=2,
            action="append",
            default=[],
            metavar=("ARCHIVE", "MEMBER"),
            help="{lang} is the language, {side} src or ref; may be given several times",
        )
    text.add_argument("--stories", nargs="+", default=[], help="archives of CNN/Daily Mail stories")
    text.add_argument("--lists", nargs=3, default=[], help="with --stories: the splits' URL lists")
    text.add_argument("--replace-unk", action="store_true", help="UNK for <unk> (gigaword)")
    text.add_argument("--test-set", help="sacreBLEU's name of the test set, if it is that one")
    text.set_defaults(run=write_text)
    copy = commands.add_parser("member", help="write one file of an archive, as it is")
    copy.add_argument("archive", type=Path)
    copy.add_argument("member")
    copy.add_argument("out", type=Path)
    copy.set_defaults(run=write_member)
    return parser.parse_args()


def write_text(args: argparse.Namespace) -> None:
    """Write all splits and hold both languages against each other.

    Raises:
        ValueError: an archive is damaged or lacks a file, or the languages differ in lines.
    """
    if args.stories:
        paths = [args.folder / name for name in args.stories]
        stories.write(paths, [args.folder / name for name in args.lists], args.out, args.languages)
    for split in SPLITS:
        for archive, member in getattr(args, split):
            counts = [
                append(args, archive, member, language, side, args.out / f"{split}.{language}")
                for language, side in zip(args.languages, ("src", "ref"), strict=True)
            ]
            if counts[0] != counts[1] or not counts[0]:
                raise ValueError(
                    f"{archive}: {member} has {counts[0]} lines in {args.languages[0]} and"
                    f" {counts[1]} in {args.languages[1]}. They must be equally many, at least one."
                )
            print(f"{split}: {counts[0]} pairs from {archive}", flush=True)
    if args.test_set and is_published(args.test_set, args.folder / args.test[0][0]):
        (args.out / "test-set").write_text(f"{args.test_set}\n")


def append(
    args: argparse.Namespace, archive: str, member: str, language: str, side: str, out: Path
) -> int:
    """Append a file's sentences; return how many."""
    count = 0
    fill = {"lang": language, "side": side}
    with open(out, "a", encoding="utf-8", newline="\n") as file:
        for line in archives.lines(args.folder / archive.format(**fill), member.format(**fill)):
            file.write(f"{line.replace('<unk>', 'UNK') if args.replace_unk else line}\n")
            count += 1
            if count % PROGRESS == 0:
                print(f"{count} lines of {member.format(**fill)}", flush=True)
    return count


def is_published(test_set: str, archive: Path) -> bool:
    """Whether the archive is the very one that sacreBLEU downloads for this test set.

    sacreBLEU carries its MD5 sum. Only then may a signature name the test set.
    """
    from sacrebleu import DATASETS

    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found in DATASETS[test_set].md5:
        return True
    print(f"{archive}: is not the archive of sacreBLEU's {test_set}; scores will not name it.")
    return False


def write_member(args: argparse.Namespace) -> None:
    """Write one file of an archive, whole or not at all.

    Raises:
        ValueError: the archive is damaged or lacks the file.
    """
    partial = args.out.with_name(f"{args.out.name}.partial")
    with archives.damage_told(args.archive), archives.opened(args.archive, args.member) as stream:
        with open(partial, "wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        os.replace(partial, args.out)


if __name__ == "__main__":
    main()
