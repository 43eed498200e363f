"""A sentencepiece model and dictionaries as a tokenizer of transformers, in Marian's files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary

from teaforn_fairseq.export.dictionaries import Dictionaries
from teaforn_fairseq.files import kind

CONFIG = "config.json"
SOURCE_VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"


def require_models(paths: Sequence[Path]) -> None:
    """Stop unless the paths are sentencepiece models, two at most.

    Raises:
        ValueError: they are more, or one is no such file.
    """
    from sentencepiece import SentencePieceProcessor

    if len(paths) > 2:
        raise ValueError(
            "--sentencepiece-model: may be given twice, for source and target; received"
            f" {len(paths)} of them."
        )
    for path in paths:
        try:
            found = kind(path) or "nothing there"
            if found == "a file":
                found = "a file that cannot be read as one"
                SentencePieceProcessor(model_file=str(path))
                continue
        except (RuntimeError, OSError):
            pass
        raise ValueError(
            f"--sentencepiece-model: must be a model that sentencepiece trained; received {path},"
            f" {found}."
        )


def write(dictionaries: Dictionaries, models: Sequence[Path], folder: Path) -> None:
    """Write the tokenizer's files into a model's folder.

    Args:
        dictionaries: of the model; where source and target are unlike, so are the tokenizer's.
        models: one sentencepiece model, or the source's and the target's.
        folder: the model's.
    """
    from transformers import MarianTokenizer

    source, target = dictionaries.load()
    scratch = folder.with_name("vocabularies")
    scratch.mkdir()
    files = {"vocab": (SOURCE_VOCABULARY, source), "target_vocab_file": (TARGET_VOCABULARY, target)}
    for name, dictionary in files.values():
        (scratch / name).write_text(json.dumps(dictionary.indices), encoding="utf-8")
    options: dict[str, Any] = {
        "source_spm": str(models[0]),
        "target_spm": str(models[-1]),
        **{option: str(scratch / name) for option, (name, _) in files.items()},
        "separate_vocabs": source.indices != target.indices,
        "source_lang": dictionaries.source,
        "target_lang": dictionaries.target,
        **_symbols(source),
        "model_max_length": json.loads((folder / CONFIG).read_text())["max_position_embeddings"],
        # Text that looks like one of these symbols is text, as in fairseq.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }
    MarianTokenizer(**options).save_pretrained(folder)


def _symbols(dictionary: Dictionary) -> dict[str, str]:
    return {
        "bos_token": dictionary[dictionary.bos()],
        "eos_token": dictionary[dictionary.eos()],
        "pad_token": dictionary[dictionary.pad()],
        "unk_token": dictionary[dictionary.unk()],
    }
