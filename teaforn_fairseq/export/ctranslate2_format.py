"""A stock checkpoint as a CTranslate2 model, by CTranslate2's own converter."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from teaforn_fairseq.export.dictionaries import Dictionaries


def require_ctranslate2() -> None:
    """Stop unless CTranslate2 can be imported.

    Raises:
        ValueError: it cannot.
    """
    try:
        import ctranslate2.converters  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--format ctranslate2: needs the package ctranslate2; received: {error}."
            ' Install it, in a clone: pip install --constraint constraints.txt ".[export]".'
        ) from error


def convert(
    state: dict[str, Any], dictionaries: Dictionaries, *, scratch: Path, folder: Path
) -> None:
    """Write a CTranslate2 model and load it once.

    Args:
        state: a stock checkpoint in plain containers.
        dictionaries: of the model.
        scratch: where the converter's input is written; removed by the caller.
        folder: where the model is written; must not be there.

    Raises:
        ValueError: CTranslate2 cannot convert this model, or cannot load what it wrote.
    """
    import ctranslate2

    model = Namespace(**{"task": "translation", **state["cfg"]["model"]})
    # The converter reads attributes; older releases of it also let fairseq upgrade the file.
    torch.save({**state, "cfg": {"model": model}}, scratch)
    converter = ctranslate2.converters.FairseqConverter(
        str(scratch),
        str(dictionaries.folder),
        source_lang=dictionaries.source,
        target_lang=dictionaries.target,
    )
    try:
        converter.convert(str(folder))
        ctranslate2.Translator(str(folder), device="cpu")
    except Exception as error:  # converter and library raise whatever a model runs them into
        raise ValueError(
            f"--format ctranslate2: must be a model that CTranslate2 {ctranslate2.__version__}"
            f" can convert; received {model.arch}: {error}"
        ) from error
