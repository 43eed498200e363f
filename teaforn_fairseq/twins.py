"""Which models can be unrolled, and what to tell a user whose model cannot."""

from typing import Any

from fairseq.models import ARCH_MODEL_REGISTRY
from omegaconf import OmegaConf

PREFIX = "teaforn_"
# In front of the names of the parameters that only unroll steps 2..N use, never decoding.
UNSHARED_PREFIX = "unshared_decoder."


def chosen_model(criterion_cfg: Any) -> tuple[str | None, type | None, Any]:
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
    twins = sorted(name for name in ARCH_MODEL_REGISTRY if name.startswith(PREFIX))
    advice = f"Use --arch {twin}." if twin in twins else f"Twins exist for: {', '.join(twins)}."
    raise ValueError(
        "--arch: --criterion teaforn_cross_entropy needs an architecture that can be unrolled;"
        f" received {arch}. {advice}"
    )
