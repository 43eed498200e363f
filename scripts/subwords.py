"""Learn a sentencepiece model and split text with it, or with GPT-2's subwords."""

import argparse
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from multiprocessing import Pool
from pathlib import Path

import sentencepiece

CHUNK = 1000  # lines that a process takes at a time


def main() -> None:
    """Run the chosen subcommand."""
    args = parse_args()
    try:
        if args.command == "learn":
            options = {"num_sentences": args.sentences, "seed": args.seed}
            learn(args.input, args.model, args.vocab_size, **options)
        else:
            encode(args)
    except OSError as error:
        raise SystemExit(f"error: {error}") from error


def parse_args() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    learner = commands.add_parser("learn", help="learn one BPE model from all input files")
    learner.add_argument("--input", type=Path, nargs="+", required=True, help="raw text files")
    learner.add_argument("--vocab-size", type=int, required=True, help="number of subwords")
    learner.add_argument(
        "--sentences",
        type=int,
        default=0,
        help="learn from so many lines, drawn at random; 0: from all",
    )
    learner.add_argument(
        "--seed", type=int, default=1, help="of --sentences (default: %(default)s)"
    )
    learner.add_argument("--model", type=Path, required=True, help="the .model file")
    encoder = commands.add_parser("encode", help="split text, subwords between spaces")
    encoder.add_argument("--input", type=Path, nargs="+", help="files (default: standard input)")
    encoder.add_argument("--out", type=Path, help="with --input: folder for files of their names")
    encoder.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    encoder.add_argument("--model", type=Path, help="the .model file")
    encoder.add_argument("--gpt2-encoder-json", type=Path, help="in place of --model, GPT-2's")
    encoder.add_argument("--gpt2-vocab-bpe", type=Path, help="with --gpt2-encoder-json")
    return parser.parse_args()


def learn(
    inputs: list[Path], model: Path, vocab_size: int, *, num_sentences: int = 0, seed: int = 1
) -> None:
    """Learn a BPE model over every character of the text that it is learned from.

    The same lines, size and seed give the same file, byte for byte, wherever the input lies and
    whatever the number of cores: sentencepiece counts words, which threads only share out, and the
    number of threads, which it writes into the file, is always its own default.

    Args:
        inputs: raw text, a sentence a line.
        model: file to write.
        vocab_size: number of subwords.
        num_sentences: 0, or how many lines to draw at random; all, if there are fewer.
        seed: of the draw.

    Raises:
        SystemExit: the text cannot yield a vocabulary of this size.
        OSError: a file cannot be read or written.
    """
    sentences = lines_of(inputs)
    if num_sentences:
        sentences = iter(drawn(sentences, num_sentences, random.Random(seed)))
    learned = BytesIO()  # its own writer does not notice a full disk
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=learned,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=1.0,
            max_sentence_length=2**30,  # the most there is; longer lines it leaves out in silence
            minloglevel=1,
        )
    except RuntimeError as error:
        raise SystemExit(
            f"error: --vocab-size: cannot learn {vocab_size} subwords: {error}"
        ) from error
    model.write_bytes(learned.getvalue())


def lines_of(paths: list[Path]) -> Iterator[str]:
    """The lines of all files, without their ends."""
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                yield line.decode("utf-8").rstrip("\n")


def drawn(lines: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """So many lines, each equally likely, in one pass: reservoir sampling (Vitter 1985, R).

    Args:
        lines: any number; only ``count`` are kept in memory.
        count: how many, at least 1.
        rng: of the choices; only its ``random()`` is asked, which is the same in every Python.
    """
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number < count:
            kept.append(line)
        else:
            place = int(rng.random() * (number + 1))
            if place < count:
                kept[place] = line
    return kept


def encode(args: argparse.Namespace) -> None:
    """Split files line by line, or standard input onto standard output.

    Raises:
        SystemExit: a file is not there, or is not a model.
        OSError: a file cannot be read or written.
    """
    for option in ("model", "gpt2_encoder_json", "gpt2_vocab_bpe"):
        path = getattr(args, option)
        if path and not path.is_file():
            raise SystemExit(f"error: --{option.replace('_', '-')}: no such file: {path}")
    sources = (args.model, args.gpt2_encoder_json, args.gpt2_vocab_bpe)
    try:
        load(*sources)  # a pool would start workers without end that cannot
    except (RuntimeError, ValueError) as error:
        raise SystemExit(
            f"error: the model cannot be read: {error}. Remove it and learn again."
        ) from error
    with Pool(args.workers, initializer=load, initargs=sources) as pool:
        for path in args.input or [None]:
            read = path or sys.stdin.fileno()
            write = args.out / path.name if path else sys.stdout.fileno()
            with open(read, "rb") as lines, open(write, "wb") as out:
                for pieces in pool.imap(split, lines, chunksize=CHUNK):
                    out.write(f"{pieces}\n".encode())
            if path:
                print(f"{path}: split into subwords", flush=True)


def load(model: Path | None, encoder_json: Path | None, vocab_bpe: Path | None) -> None:
    """Make :func:`split` ready in this process."""
    global pieces_of
    if model:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        pieces_of = lambda text: processor.encode(text, out_type=str)  # noqa: E731
    else:
        from fairseq.data.encoders.gpt2_bpe_utils import get_encoder  # heavy, and rarely needed

        encoder = get_encoder(str(encoder_json), str(vocab_bpe))
        pieces_of = lambda text: map(str, encoder.encode(text))  # noqa: E731


pieces_of: Callable


def split(line: bytes) -> str:
    """The subwords of a line, between spaces."""
    return " ".join(pieces_of(line.decode("utf-8").rstrip("\n")))


if __name__ == "__main__":
    main()
