"""Files by which something could run beside PyTorch's safe loader.

A model may load a vocoder or a decoder of its own, by a bare ``torch.load`` that is unsafe before
torch 2.6. The safe loader itself runs a TorchScript archive's programs there, and unpacks a tar
archive. And the FASTA data set puts its path into a shell's command line.
"""

import importlib
import shlex
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from fairseq.data.fasta_dataset import FastaDataset

from teaforn_fairseq.fairseq_fixes.safe_loading import SafeTorch, safely

# fairseq's modules that call torch.load, apart from checkpoint_utils, which safe_loading mends, and
# distributed.utils, which reads what the other ranks of one training send.
LOADERS = (
    "fairseq.data.codedataset",
    "fairseq.models.speech_to_text.xm_transformer",
    "fairseq.models.text_to_speech.vocoder",
    "fairseq.modules.quantization.pq.em",
)


def without_shell(build_index: Callable) -> Callable:
    """The index of a FASTA file whose path a shell takes as it is.

    Raises:
        ValueError: from the result, for another path.
    """

    @wraps(build_index)
    def build_plainly(self: FastaDataset, path: str) -> Any:
        if shlex.quote(str(path)) != str(path):
            raise ValueError(
                "data: a FASTA file's path must be of letters, digits and _@%+=:,./- because"
                f" fairseq hands it to a shell; received {path}. Rename it."
            )
        return build_index(self, path)

    return build_plainly


def apply() -> None:
    """Put the check and the safe loader where fairseq looks them up."""
    safe_torch = SafeTorch(safely(torch.load))
    for name in LOADERS:
        importlib.import_module(name).torch = safe_torch  # type: ignore[attr-defined]
    FastaDataset._build_index = without_shell(FastaDataset._build_index)
