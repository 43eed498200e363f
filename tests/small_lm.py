"""A language model of a few parameters and its training."""

import commands
from commands import TEAFORN

SAMPLE = 32
LM = [
    *("--task", "language_modeling", "--arch", "teaforn_transformer_lm"),
    *("--share-decoder-input-output-embed", "--tokens-per-sample", str(SAMPLE)),
    *("--decoder-layers", "1", "--decoder-attention-heads", "2", "--decoder-ffn-embed-dim", "16"),
    *("--decoder-embed-dim", "16", "--decoder-input-dim", "16", "--decoder-output-dim", "16"),
    *TEAFORN,
]


def num_tokens(text):
    """Words and ends of sentences of a raw text."""
    return sum(len(line.split()) + 1 for line in text.read_text().splitlines())


def train(data, save_dir, *options):
    """One fairseq-train of it from start to end."""
    return commands.train(data, save_dir, *options, task=LM)
