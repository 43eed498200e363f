"""Lines of a language model that begin with prompts, and what they are given to."""

import torch
from fairseq.data.monolingual_dataset import collate

A, PAD, EOS = 4, 1, 2  # "a" ends the prompts
LINES = [  # labels of a language model's rows
    [5, 6, A, 7, 8, EOS],
    [A, 9, 10, EOS],
    [6, A, 5, A, EOS],  # the first one ends the prompt
    [7, 8, 9, A, EOS],  # eos alone is left
]
LM = {"decoder_input_dim": 8, "decoder_output_dim": 8}


def lines(rows=LINES):
    """A language model's batch with these labels."""
    samples = [
        {"id": n, "source": torch.tensor([EOS, *y[:-1]]), "target": torch.tensor(y)}
        for n, y in enumerate(rows)
    ]
    return collate(samples, PAD, EOS)


def behind_a(target):
    """K of a row whose prompt ends with "a"."""
    return target.tolist().index(A) + 1
