"""Which models can be unrolled, and what to tell a user whose model cannot."""

from collections.abc import Callable
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.models import (
    ARCH_CONFIG_REGISTRY,
    ARCH_MODEL_INV_REGISTRY,
    ARCH_MODEL_REGISTRY,
    MODEL_REGISTRY,
    register_model,
    register_model_architecture,
)
from omegaconf import OmegaConf

PREFIX = "teaforn_"


def twin_of(family: str, config: type[FairseqDataclass] | None = None) -> Callable[[type], type]:
    """Register a model as ``teaforn_<name>`` for every architecture of a stock model.

    Args:
        family: name under which fairseq registers the stock model.
        config: the twin's options, for a model that fairseq registers with a dataclass.
    """

    def register(model: type) -> type:
        register_model(f"{PREFIX}{family}", dataclass=config)(model)
        for arch in tuple(ARCH_MODEL_INV_REGISTRY[family]):
            # With a dataclass fairseq has made an architecture of the family's own name.
            if f"{PREFIX}{arch}" not in ARCH_MODEL_REGISTRY:
                register_model_architecture(f"{PREFIX}{family}", f"{PREFIX}{arch}")(
                    ARCH_CONFIG_REGISTRY[arch]
                )
        return model

    return register


def chosen_model(criterion_cfg: Any) -> tuple[str | None, Any, Any]:
    """The model beside a criterion's options, so that it can be judged before training.

    Args:
        criterion_cfg: the criterion's section of fairseq's configuration.

    Returns:
        ``--arch``, its class and the model's section; three times None where the criterion's
        section stands alone.
    """
    whole = criterion_cfg._get_parent() if OmegaConf.is_config(criterion_cfg) else None
    model_cfg = whole.model if whole and "model" in whole else None
    arch = getattr(model_cfg, "_name", None)
    return arch, ARCH_MODEL_REGISTRY.get(arch), model_cfg


def require_unrollable(model: Any, arch: str | None = None) -> None:
    """Stop unless the model can be unrolled.

    Args:
        model: a model, wrapped for DDP or FSDP or not, or its class.
        arch: its name for the message; None asks the model.

    Raises:
        ValueError: it cannot; the message names the twin to use.
    """
    if getattr(model, "can_unroll", False):
        return
    arch = arch or getattr(getattr(model, "args", None), "arch", type(model).__name__)
    twin = f"{PREFIX}{arch}"
    families = sorted(
        name.removeprefix(PREFIX) for name in MODEL_REGISTRY if name.startswith(PREFIX)
    )
    advice = (
        f"Use --arch {twin}."
        if twin in ARCH_MODEL_REGISTRY
        else f"There are {PREFIX}* twins for the architectures of: {', '.join(families)}."
    )
    raise ValueError(
        "--arch: --criterion teaforn_cross_entropy needs an architecture that can be unrolled;"
        f" received {arch}. {advice}"
    )
