"""Learn a sentencepiece model and split text with it."""

import argparse
import sys
from pathlib import Path

import sentencepiece


def main() -> None:
    """Run the chosen subcommand."""
    args = parse_args()
    if args.command == "learn":
        learn(args.input, args.model, args.vocab_size)
    else:
        encode(args.model)


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    learner = commands.add_parser("learn", help="learn one BPE model from all input files")
    learner.add_argument("--input", type=Path, nargs="+", required=True, help="raw text files")
    learner.add_argument("--vocab-size", type=int, required=True, help="number of subwords")
    encoder = commands.add_parser("encode", help="split standard input, subwords between spaces")
    for command in (learner, encoder):
        command.add_argument("--model", type=Path, required=True, help="the .model file")
    return parser.parse_args()


def learn(inputs: list[Path], model: Path, vocab_size: int) -> None:
    """Learn a BPE model over every character of the input.

    Raises:
        SystemExit: the text cannot yield a vocabulary of this size.
    """
    try:
        sentencepiece.SentencePieceTrainer.train(
            input=[str(path) for path in inputs],
            model_prefix=str(model.with_suffix("")),
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=1.0,
            minloglevel=1,
        )
    except RuntimeError as error:
        raise SystemExit(
            f"error: --vocab-size: cannot learn {vocab_size} subwords: {error}"
        ) from error


def encode(model: Path) -> None:
    """Split standard input line by line onto standard output."""
    if not model.is_file():
        raise SystemExit(f"error: --model: no such file: {model}")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    sys.stdin.reconfigure(encoding="utf-8", newline="\n")
    sys.stdout.reconfigure(encoding="utf-8")
    for line in sys.stdin:
        print(" ".join(processor.encode(line.rstrip("\n"), out_type=str)))


if __name__ == "__main__":
    main()
