"""The model's options from ``fairseq-hydra-train``, as ``fairseq-train`` would have given them.

fairseq's Transformer twins take their options from an ``argparse.Namespace`` and have no
dataclass: with one, fairseq would ignore the defaults of the architectures. So Hydra hands over
the bare ``model`` section of the YAML file, which nothing has checked yet.
"""

from argparse import ArgumentParser, Namespace
from typing import Any, cast

from fairseq.models import ARCH_CONFIG_REGISTRY
from omegaconf import DictConfig, OmegaConf

# fairseq-train has one option for both sections, among the task's.
FROM_TASK = ("max_source_positions", "max_target_positions")


def as_namespace(options: Namespace | DictConfig, model_cls: Any, task: Any) -> Namespace:
    """The options as a Namespace; one that is a Namespace already comes back as it is.

    Args:
        options: the ``model`` section, completed by its architecture function.
        model_cls: the model's class, which declares the options.
        task: the task, for the options that the model shares with it.

    Raises:
        ValueError: the section holds an option that the model does not have.
    """
    if isinstance(options, Namespace):
        return options
    given = cast(dict[str, Any], OmegaConf.to_container(options, resolve=True))
    unknown = sorted(given.keys() - _known(model_cls, options._name))
    if unknown:
        raise ValueError(
            f"model: every option must be one of {options._name}'s, as fairseq-train --help lists"
            f" them, with underscores; received {', '.join(unknown)}."
        )
    shared = {name: getattr(task.cfg, name) for name in FROM_TASK}
    return Namespace(**shared | given)


def _known(model_cls: Any, arch: str) -> set[str]:
    parser = ArgumentParser(add_help=False)
    model_cls.add_args(parser)
    # Some options have a default in the architecture functions and no flag.
    defaults = Namespace()
    ARCH_CONFIG_REGISTRY[arch](defaults)
    return {action.dest for action in parser._actions} | vars(defaults).keys() | {"_name"}


def has_dataclass(model: type) -> bool:
    """Whether fairseq knows the model's options from a dataclass, which then lists ours as well."""
    return getattr(model, "__dataclass", None) is not None
