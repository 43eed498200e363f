"""Known and harmless warnings of other packages at every start are not shown; all others are.

Each is silenced by its category and its text. What is said before this package is imported cannot
be: with ``--user-dir`` that is fairseq's advice to install tensorboardX, for speech, and, from
torch 2.15 on, PyTorch's that TorchScript ends, which parts of fairseq use.
"""

import logging
import warnings

WARNINGS = (
    # fairseq's configuration, written for Hydra 1.0
    (UserWarning, r"hydra\.experimental\.(initialize|compose)\(\) is no longer experimental"),
    (UserWarning, r"\s*The version_base parameter is not specified\."),
    (UserWarning, r"In 'config': Usage of deprecated keyword in package header"),
    (UserWarning, r"\s*'config' is validated against ConfigStore schema with the same name\."),
    (UserWarning, r"\s*The strict flag in the compose API is deprecated\."),
    # fairseq's calls of PyTorch
    (FutureWarning, r"`torch\.jit\.script` is deprecated"),
    (FutureWarning, r"`torch\.cuda\.amp\.(autocast|GradScaler)\(args\.\.\.\)` is deprecated"),
    (UserWarning, r"'pin_memory' argument is set as true but no accelerator is found"),
    (UserWarning, r"Support for mismatched key_padding_mask and attn_mask is deprecated"),
)
LOGS = {
    "fairseq.tasks.text_to_speech": "Please install tensorboardX",
    "hydra.core.utils": "Setting JobRuntime:",
}


def apply() -> None:
    """Before fairseq is imported where that is possible."""
    for category, message in WARNINGS:
        warnings.filterwarnings("ignore", message, category)
    for name, start in LOGS.items():
        logging.getLogger(name).addFilter(
            lambda record, start=start: not record.getMessage().startswith(start)
        )
