"""Which model of transformers computes what a checkpoint's options describe, if any does."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.models.bart import BARTModel
from fairseq.models.transformer import TransformerConfig, TransformerModel

from teaforn_fairseq.export.stock_checkpoint import stock_cfg
from teaforn_fairseq.export.stock_model import rows
from teaforn_fairseq.export.twin_checkpoint import TwinCheckpoint

# fairseq's names and those of transformers. gelu_fast is gelu_accurate's former name.
ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_accurate": "gelu_new",
    "gelu_fast": "gelu_new",
    "tanh": "tanh",
    "linear": "linear",
}
# What none of the models has; an option not named here changes names or shapes of parameters, or
# nothing that is computed.
NOWHERE: dict[str, Any] = {
    "no_token_positional_embeddings": False,
    "adaptive_input": False,
    "adaptive_softmax_cutoff": None,
    "no_cross_attention": False,
    "cross_self_attention": False,
    "merge_src_tgt_embed": False,
    "encoder_layers_to_keep": None,
    "decoder_layers_to_keep": None,
    "encoder_xformers_att_config": None,
    "decoder_xformers_att_config": None,
    "quant_noise_pq": 0,
    "quant_noise_scalar": 0,
    "base_layers": 0,
}
SAME = (
    ("decoder_embed_dim", "encoder_embed_dim"),
    ("decoder_input_dim", "encoder_embed_dim"),
    ("decoder_output_dim", "encoder_embed_dim"),
)


@dataclass(frozen=True)
class Family:
    """A model of transformers.

    Attributes:
        name: of its classes, without ``Config`` and ``ForConditionalGeneration``.
        traits: the options, with their values, by which a checkpoint is taken for one of it.
        wanted: what else it asks for.
        two_dictionaries: whether source and target may have tables of unlike sizes.
    """

    name: str
    traits: dict[str, bool]
    wanted: dict[str, Any] = field(default_factory=dict)
    two_dictionaries: bool = False


def _traits(*, learned: bool, pre_norm: bool) -> dict[str, bool]:
    return {"encoder_learned_pos": learned, "encoder_normalize_before": pre_norm}


NORMED, BARE = {"layernorm_embedding": True}, {"layernorm_embedding": False}
FINAL_NORM = {"no_decoder_final_norm": False}
FAMILIES = (
    Family("FSMT", _traits(learned=False, pre_norm=False), BARE, two_dictionaries=True),
    Family("M2M100", _traits(learned=False, pre_norm=True), BARE | FINAL_NORM),
    Family("Bart", _traits(learned=True, pre_norm=False), NORMED),
    Family("MBart", _traits(learned=True, pre_norm=True), NORMED | FINAL_NORM),
)


def family_of(checkpoint: TwinCheckpoint) -> tuple[Family, TransformerConfig]:
    """The model of transformers for a checkpoint, and its options as fairseq reads them.

    Raises:
        ValueError: there is none; names the first option that stands against it.
    """
    rule = f"{checkpoint.path}: must be a model that transformers has too"
    if ARCH_MODEL_REGISTRY[checkpoint.arch] not in (TransformerModel, BARTModel):
        raise ValueError(
            f"{rule}, an encoder-decoder Transformer or BART, for --format huggingface; received"
            f" --arch {checkpoint.arch}. Leave --format out."
        )
    options = Namespace(**stock_cfg(checkpoint.cfg, checkpoint.arch)["model"])
    ARCH_CONFIG_REGISTRY[checkpoint.arch](options)
    cfg: Any = TransformerConfig.from_namespace(options)
    family = next(x for x in FAMILIES if all(getattr(cfg, k) == v for k, v in x.traits.items()))
    problem = next(_problems(family, cfg, rows(checkpoint.parameters)), None)
    if problem:
        raise ValueError(
            f"{rule}, for --format huggingface: {family.name} by its positions and norms, which"
            f" asks for {problem}. Leave --format out."
        )
    return family, cfg


def _problems(family: Family, cfg: Any, sizes: list[int]) -> Iterator[str]:
    # The encoder's trait chose the family; the decoder's must be the same.
    decoder = {name.replace("encoder", "decoder"): x for name, x in family.traits.items()}
    for name, value in {**decoder, **family.wanted, **NOWHERE}.items():
        if (received := getattr(cfg, name)) != value:
            yield f"{_shown(name, value)}; received {_shown(name, received)}"
    if cfg.activation_fn not in ACTIVATIONS:
        yield (
            f"--activation-fn {', '.join(ACTIVATIONS)}; received --activation-fn"
            f" {cfg.activation_fn}"
        )
    same = [*SAME]
    if cfg.encoder_learned_pos:
        same.append(("max_target_positions", "max_source_positions"))
    for one, other in same:
        ours, theirs = getattr(cfg, one), getattr(cfg, other)
        if ours != theirs:
            yield f"{_flag(one)} as {_flag(other)}, {theirs}; received {ours}"
    if not family.two_dictionaries and len({*sizes}) > 1:
        yield f"one dictionary (--joined-dictionary); received {sizes[0]} and {sizes[1]} symbols"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(name: str, value: Any) -> str:
    """An option as on the command line, where False and None are its absence."""
    if value is True:
        return _flag(name)
    return f"no {_flag(name)}" if value in (False, None) else f"{_flag(name)} {value}"
