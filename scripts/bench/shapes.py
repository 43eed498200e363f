"""Sizes of the models and batches that are measured, on the command line."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Sizes of a Transformer with one table for all embeddings; whole numbers of at least 1."""

    encoder_layers: int = 6
    decoder_layers: int = 6
    width: int = 512
    ffn: int = 2048
    heads: int = 8
    vocabulary: int = 32768


BASE = Shape()
SIZES = {
    "base": BASE,
    "big": replace(BASE, width=1024, ffn=4096, heads=16),
    "tiny": replace(BASE, width=128, ffn=256, heads=4, vocabulary=4000),
    "deep-shallow": replace(BASE, encoder_layers=12, decoder_layers=1),
}
DEVICES = ("cpu", "cuda")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Setup:
    """What is measured, apart from the systems.

    Attributes:
        shape: of the model.
        tokens: target tokens in the batch, at least; the last sentence goes beyond.
        longest: tokens of the longest sentence; lengths are 70 to 100 % of it on both sides.
        dropout: 0 to below 1.
        seed: of the batch and of the parameters.
        threads: of PyTorch.
        device: where model and batch are, one of DEVICES.
        dtype: of the parameters, one of DTYPES.
    """

    shape: Shape
    tokens: int
    longest: int
    dropout: float
    seed: int
    threads: int
    device: str = "cpu"
    dtype: str = "float32"

    def flags(self) -> list[str]:
        """The command line that gives this setup again."""
        options = asdict(self)
        options |= options.pop("shape")
        return [x for name, value in options.items() for x in (_flag(name), str(value))]


def add_options(parser: argparse.ArgumentParser, *, tokens: int, dropout: bool = True) -> None:
    """Declare the options that ``setup_of`` reads."""
    model = add_shape(parser, SIZES)
    if dropout:
        model.add_argument("--dropout", type=float, default=0.1, help="(default: %(default)s)")
    batch = parser.add_argument_group("batch")
    batch.add_argument(
        "--tokens",
        type=positive,
        default=tokens,
        help="target tokens, about (default: %(default)s)",
    )
    batch.add_argument(
        "--longest",
        type=positive,
        default=32,
        help="length of the longest sentence; source and target lengths are drawn from 70 to"
        " 100 %% of it (default: %(default)s)",
    )
    batch.add_argument(
        "--seed", type=int, default=1, help="of batch and parameters (default: %(default)s)"
    )
    add_threads(parser)


def add_shape(
    parser: argparse.ArgumentParser, sizes: Mapping[str, Shape]
) -> argparse._ArgumentGroup:
    """Declare ``--size`` and what ``shape_of`` reads; the group, for further options of a model."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--size",
        choices=sizes,
        default="base",
        help="sizes that the options below change one by one (default: %(default)s)",
    )
    for field in fields(Shape):
        values = ", ".join(f"{name} {getattr(x, field.name)}" for name, x in sizes.items())
        model.add_argument(
            _flag(field.name), type=positive, metavar="NUMBER", help=f"(default: {values})"
        )
    return model


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Declare ``--threads``."""
    machine = parser.add_argument_group("machine")
    machine.add_argument("--threads", type=positive, help="(default: as many as PyTorch takes)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare ``--device`` and ``--dtype``."""
    group = parser.add_argument_group("device")
    group.add_argument(
        "--device", choices=DEVICES, default="cpu", help="cuda is a GPU (default: %(default)s)"
    )
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the parameters: float16 is fairseq-train's --fp16, with its first loss scale;"
        " bfloat16 is --bf16 (default: %(default)s)",
    )


def add_rounds(group: argparse._ArgumentGroup) -> None:
    """Declare ``--rounds``."""
    group.add_argument(
        "--rounds",
        type=positive,
        default=7,
        help="that count, after one that does not, on a GPU three (default: %(default)s)",
    )


def setup_of(args: argparse.Namespace, default_threads: int) -> Setup:
    """Read the options.

    Raises:
        ValueError: sizes that do not fit each other.
    """
    shape = shape_of(args, SIZES[args.size])
    dropout = getattr(args, "dropout", 0.0)
    check_dropout(dropout)
    threads = args.threads or default_threads
    place = {x: getattr(args, x) for x in ("device", "dtype") if hasattr(args, x)}
    return Setup(shape, args.tokens, args.longest, dropout, args.seed, threads, **place)


def shape_of(args: argparse.Namespace, default: Shape) -> Shape:
    """The default with what the options change of it.

    Raises:
        ValueError: sizes that do not fit each other.
    """
    given = {x.name: getattr(args, x.name) for x in fields(Shape)}
    shape = replace(default, **{k: v for k, v in given.items() if v is not None})
    if shape.width % shape.heads:
        raise ValueError(
            f"--width: must be a multiple of --heads; received {shape.width} with"
            f" {shape.heads} heads."
        )
    if shape.vocabulary < 5:
        raise ValueError(
            "--vocabulary: must be at least 5, of which 4 are fairseq's own; received"
            f" {shape.vocabulary}."
        )
    return shape


def check_dropout(dropout: float) -> None:
    """Stop at a dropout that is none.

    Raises:
        ValueError: so it is.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"--dropout: must be at least 0 and below 1; received {dropout}.")


def positive(text: str) -> int:
    """A whole number of at least 1 from the command line."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; received {text}.")
    return int(text)


def as_json(setup: Setup) -> dict[str, Any]:
    """The setup in plain containers."""
    return asdict(setup)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
