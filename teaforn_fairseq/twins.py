"""Which models can be unrolled, and what to tell a user whose model cannot."""

from fairseq.models import ARCH_MODEL_REGISTRY
from torch.nn import Module

PREFIX = "teaforn_"


def require_twin(model: Module) -> None:
    """Stop unless the model is a ``teaforn_*`` architecture (wrapped for DDP or FSDP or not).

    Raises:
        ValueError: it is not; the message names the twin to use.
    """
    if getattr(model, "can_unroll", False):
        return
    arch = getattr(getattr(model, "args", None), "arch", None) or type(model).__name__
    twin = f"{PREFIX}{arch}"
    twins = sorted(name for name in ARCH_MODEL_REGISTRY if name.startswith(PREFIX))
    advice = f"Use --arch {twin}." if twin in twins else f"Twins exist for: {', '.join(twins)}."
    raise ValueError(
        "--arch: --criterion teaforn_cross_entropy needs an architecture that can be unrolled;"
        f" received {arch}. {advice}"
    )
