"""Files by which something could run beside PyTorch's safe loader.

A model may load a vocoder or a decoder of its own, by a bare ``torch.load`` that is unsafe before
torch 2.6. The safe loader itself runs a TorchScript archive's programs there, and unpacks a tar
archive. And the FASTA data set puts its path into a shell's command line.
"""

import importlib
import shlex
import tarfile
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.data.fasta_dataset import FastaDataset

from teaforn_fairseq.fairseq_fixes.safe_loading import refusal, safely

# fairseq's modules that call torch.load, apart from checkpoint_utils, which safe_loading mends, and
# distributed.utils, which reads what the other ranks of one training send.
LOADERS = (
    "fairseq.data.codedataset",
    "fairseq.models.speech_to_text.xm_transformer",
    "fairseq.models.text_to_speech.vocoder",
    "fairseq.modules.quantization.pq.em",
)


def refuse_archives(path: Any) -> None:
    """Stop at a file that the safe loader hands on before torch 2.6.

    Args:
        path: any file. One that is damaged or not there, or no path, is left to the loader.

    Raises:
        ValueError: it is a TorchScript archive or a tar archive.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":  # then PyTorch's own reader, as torch.load asks it
                file.seek(0)
                scripted = "constants.pkl" in torch._C.PyTorchFileReader(file).get_all_records()
                kind = "a TorchScript archive" if scripted else None
            else:
                kind = "a tar archive" if tarfile.is_tarfile(path) else None
    except (OSError, RuntimeError, TypeError):
        return
    if kind:
        raise refusal(path, ValueError(f"it is {kind}, which could run or write anything."))


def plain_files(load: Callable) -> Callable:
    """A loader that refuses archives."""

    @wraps(load)
    def load_plain(path: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_archives(path)
        return load(path, *args, **kwargs)

    return load_plain


class SafeTorch(ModuleType):
    """``torch``, except that ``load`` is safe whatever PyTorch's version."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(path: Any, *args: Any, **kwargs: Any) -> Any:
        """``torch.load`` by the safe loader.

        Raises:
            ValueError: it refuses the file.
        """
        return plain_files(safely(torch.load))(path, *args, **kwargs)


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
    """Put the checks and the safe loader where fairseq looks them up."""
    for name in ("load_checkpoint_to_cpu", "load_ema_from_checkpoint"):
        setattr(checkpoint_utils, name, plain_files(getattr(checkpoint_utils, name)))
    safe_torch = SafeTorch("torch")
    for name in LOADERS:
        importlib.import_module(name).torch = safe_torch  # type: ignore[attr-defined]
    FastaDataset._build_index = without_shell(FastaDataset._build_index)
