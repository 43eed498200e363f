"""The device that a study trains and translates on."""

import argparse

CPU, CUDA = "cpu", "cuda"


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare ``--device``."""
    parser.add_argument(
        "--device", choices=(CPU, CUDA), default=CPU, help="of all work (default: %(default)s)"
    )


def require_device(device: str) -> None:
    """Stop before work without a GPU that is asked for; fairseq would go on on the CPU.

    Raises:
        ValueError: so it is.
    """
    if device == CPU:
        return
    import torch  # here: it takes seconds

    if not torch.cuda.is_available():
        raise ValueError(
            "--device: cuda needs a GPU and a PyTorch that can use it; received cuda with torch"
            f" {torch.__version__}, which finds none. Choose cpu, or install a torch for CUDA."
        )
