"""A stock model as a folder of Hugging Face's transformers: configuration, weights, generation."""

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary
from torch import Tensor

from teaforn_fairseq.export.huggingface_options import ACTIVATIONS, Family, family_of
from teaforn_fairseq.export.stock_model import TABLES, rows, stock_model
from teaforn_fairseq.export.twin_checkpoint import TwinCheckpoint

# fairseq-generate's defaults; it stops a sentence at so many tokens before eos.
BEAM, LENGTH_PENALTY, MAX_LEN_B = 5, 1.0, 200
# fairseq's dictionaries begin with them, and its hypotheses with eos.
SYMBOLS = Dictionary()
IDS = {
    "bos_token_id": SYMBOLS.bos(),
    "pad_token_id": SYMBOLS.pad(),
    "eos_token_id": SYMBOLS.eos(),
    "decoder_start_token_id": SYMBOLS.eos(),
    "forced_eos_token_id": SYMBOLS.eos(),  # at the limit, as fairseq
}
# Says nothing: a count that fairseq keeps, and the type of the sinusoids.
DROPPED = (".version", "._float_tensor")
# transformers makes them by itself: sinusoids, and a bias of zeros.
MADE = (".embed_positions.weight", "final_logits_bias")
TOLERANCE = 1e-3


def require_transformers() -> None:
    """Stop unless transformers can be imported.

    Raises:
        ValueError: it cannot.
    """
    # transformers imports it with most models. PyPI's loads beside no PyTorch for CPUs, or for
    # another CUDA than its own.
    try:
        import torchaudio  # pyright: ignore[reportMissingImports]  # noqa: F401
    except ImportError:
        pass
    except (OSError, RuntimeError):
        sys.modules["torchaudio"] = None  # pyright: ignore[reportArgumentType]
    try:
        import safetensors  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--format huggingface: needs the package transformers; received: {error}."
            " Install it, in a clone: pip install --constraint constraints.txt"
            ' ".[huggingface]".'
        ) from error


def require_fit(checkpoint: TwinCheckpoint) -> None:
    """Stop unless a model of transformers computes what the checkpoint's options describe.

    Raises:
        ValueError: none does.
    """
    family_of(checkpoint)


def convert(checkpoint: TwinCheckpoint, parameters: dict[str, Tensor], folder: Path) -> None:
    """Write a model's folder, after comparing what it computes with the stock model.

    Args:
        checkpoint: gives the options.
        parameters: the stock model's state dict; written in float32.
        folder: is made.

    Raises:
        ValueError: the model of transformers has no place for a parameter, or needs one more, or
            computes something else.
        OSError: the folder could not be written.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    model = _model(checkpoint, parameters)
    _require_same(checkpoint, parameters, model)
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(f"OUT: could not be written: is the disk full? ({error})") from error
    for path in folder.iterdir():  # safetensors writes for its owner alone
        shutil.copymode(folder / "config.json", path)


def _model(checkpoint: TwinCheckpoint, parameters: dict[str, Tensor]) -> Any:
    import transformers

    family, cfg = family_of(checkpoint)
    config_class = getattr(transformers, f"{family.name}Config")
    config = config_class(**_options(family, cfg, checkpoint))
    model = getattr(transformers, f"{family.name}ForConditionalGeneration")(config)
    missing, unexpected = model.load_state_dict(_renamed(family, parameters), strict=False)
    absent = [name for name in missing if not name.endswith(MADE)]
    if absent:
        raise ValueError(
            f"{checkpoint.path}: must be a model that transformers has too, for --format"
            f" huggingface; received no parameter {absent[0]}, which {family.name} needs. Leave"
            " --format out."
        )
    if unexpected:
        raise ValueError(
            f"{checkpoint.path}: must be a model that transformers has too, for --format"
            f" huggingface; received a parameter {unexpected[0]}, for which {family.name} has no"
            " place. Leave --format out."
        )
    model.generation_config = transformers.GenerationConfig(**_generation(cfg))
    return model.eval()


def _options(family: Family, cfg: Any, checkpoint: TwinCheckpoint) -> dict[str, Any]:
    source, target = rows(checkpoint.parameters)
    task = checkpoint.cfg.get("task") or {}
    fsmt = {
        "src_vocab_size": source,
        "tgt_vocab_size": target,
        "langs": [task.get(f"{side}_lang") or side for side in ("source", "target")],
    }
    names = {"layers": "layers", "attention_heads": "attention_heads", "ffn_dim": "ffn_embed_dim"}
    sides: dict[str, Any] = {}
    for side in ("encoder", "decoder"):
        sides |= {f"{side}_{k}": getattr(cfg, f"{side}_{v}") for k, v in names.items()}
        sides[f"{side}_layerdrop"] = float(getattr(cfg, f"{side}_layerdrop"))
    return {
        **IDS,
        **sides,
        **(fsmt if family.name == "FSMT" else {"vocab_size": target}),
        "d_model": cfg.encoder_embed_dim,
        "activation_function": ACTIVATIONS[cfg.activation_fn],
        "dropout": cfg.dropout,
        "attention_dropout": cfg.attention_dropout,
        "activation_dropout": cfg.activation_dropout or cfg.relu_dropout,
        "max_position_embeddings": max(cfg.max_source_positions, cfg.max_target_positions),
        "scale_embedding": not cfg.no_scale_embedding,
        "tie_word_embeddings": cfg.share_all_embeddings,
    }


def _generation(cfg: Any) -> dict[str, Any]:
    """fairseq-generate's beam search, in the words of transformers, whose lengths count w_0 too."""
    limit = min(MAX_LEN_B, cfg.max_target_positions - 1)
    return {
        **IDS,
        "num_beams": BEAM,
        "length_penalty": LENGTH_PENALTY,
        "early_stopping": True,  # fairseq ends a sentence at its beam's worth of hypotheses
        "max_length": limit + 2,
        "min_length": 2,
        "suppress_tokens": [SYMBOLS.pad()],
    }


def _renamed(family: Family, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = {name: x.float() for name, x in parameters.items() if not name.endswith(DROPPED)}
    state = {f"model.{name}": tensor for name, tensor in kept.items()}
    if family.name != "FSMT":
        state["lm_head.weight"] = state.pop("model.decoder.output_projection.weight")
        state["model.shared.weight"] = kept[TABLES[0]]
    return state


def _require_same(
    checkpoint: TwinCheckpoint, parameters: dict[str, Tensor], model: torch.nn.Module
) -> None:
    """Whatever options there are: the logits of two sentences, one of them padded."""
    stock = stock_model(checkpoint, parameters)
    generator = torch.Generator().manual_seed(0)
    source, target = (
        torch.randint(SYMBOLS.nspecial, size, (2, 6), generator=generator)
        for size in rows(parameters)
    )
    source[1, 4:], target[:, 0] = SYMBOLS.pad(), SYMBOLS.eos()
    with torch.inference_mode():
        wanted = stock(source, torch.tensor([6, 4]), target)[0]
        found = model(
            input_ids=source,
            attention_mask=source.ne(SYMBOLS.pad()),
            decoder_input_ids=target,
            use_cache=False,
        ).logits
    worst = ((found - wanted).abs().max() / wanted.abs().max()).item()
    if not worst <= TOLERANCE:
        raise ValueError(
            f"{checkpoint.path}: must be a model that transformers has too, for --format"
            f" huggingface; received options by which {type(model).__name__} computes something"
            f" else (logits differ by {worst:.2g} of the largest). Leave --format out."
        )
