"""Options are read as literals, so that no text in a checkpoint or a command line is a program.

PyTorch's safe loader takes a checkpoint of tensors and text alone, and fairseq hands some of these
texts to ``eval``: of any model, task and criterion that it knows, since a checkpoint names them.
Three things prevent it:

* The modules that call ``eval`` find :func:`read_literal` under that name. Nothing gets past it.
* A checkpoint's whole configuration is checked as soon as it is read, and the command line's before
  the task is set up: what is refused is named, and no model has been built.
* What a checkpoint's task or criterion would write to is taken out of its configuration.
"""

import importlib
import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial, wraps
from typing import Any

from fairseq import checkpoint_utils, tasks
from omegaconf import OmegaConf

from teaforn_fairseq.fairseq_fixes.evaluated_options import (
    COMMANDS,
    EVALUATED,
    OUTPUTS,
    READERS,
    UNSET,
)
from teaforn_fairseq.fairseq_fixes.literals import NotALiteral, read_literal

logger = logging.getLogger(__name__)


def make_harmless(cfg: Any, path: Any, given: Collection[str] = ()) -> None:
    """Refuse a checkpoint's configuration that fairseq would run, and take out what it writes to.

    Args:
        cfg: fairseq's configuration in any of its forms: OmegaConf's, an ``argparse.Namespace``
            or plain containers, nested in any way. Outputs in it become None.
        path: the file that it was read from.
        given: options that the user has set himself.

    Raises:
        ValueError: an option that fairseq evaluates is no literal.
    """
    advice = "It would be run as a program; nothing was. Use a checkpoint that you trust."
    require_literals(cfg, f"{path}: ", advice)
    options = _options(cfg)
    for section in (options, _options(options.get("task")), _options(options.get("criterion"))):
        for name in OUTPUTS:
            output = section.get(name)
            if isinstance(output, str) and name not in given:
                logger.warning(f"{path}: its {name} is ignored; received {output}")
                section[name] = None


def require_literals(cfg: Any, place: str = "", advice: str = "Write the value out.") -> None:
    """Stop unless every option that fairseq evaluates is a literal.

    Args:
        cfg: as in :func:`make_harmless`.
        place: where the configuration comes from, for the message; none for a command line.
        advice: what to put at the message's end.

    Raises:
        ValueError: one is not.
    """
    for name, text in _texts(cfg):
        option = name.rpartition(".")[2]
        if option not in EVALUATED or text in UNSET:
            continue
        try:
            # A command line's options have no section, and fairseq copies them into several.
            read_literal(text, f"{place}{name}" if place else option, advice)
        except NotALiteral as error:
            raise ValueError(str(error)) from None


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every option that is text, under its name with dots."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)  # interpolations stay: none is a literal
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        # An OrderedDict may have attributes beside its keys, and fairseq may read either.
        for key, item in [*value.items(), *getattr(value, "__dict__", {}).items()]:
            yield from _texts(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            if not isinstance(item, str):
                yield from _texts(item, name)
    elif isinstance(value, str):
        yield name, value
    elif isinstance(value, bytes | bytearray):  # eval takes them too
        yield name, repr(value)


def _options(section: Any) -> Any:
    """The section as a mapping, through which it can be changed; an empty one for None."""
    if isinstance(section, Namespace):
        return vars(section)
    return section if hasattr(section, "keys") else {}


def of_checkpoints(load: Callable) -> Callable:
    """fairseq's loader, whose result is harmless."""

    @wraps(load)
    def load_harmless(path: Any, arg_overrides: dict | None = None, *args: Any, **kw: Any) -> dict:
        state = load(path, arg_overrides, *args, **kw)
        for entry in ("args", "cfg"):
            make_harmless(state.get(entry), path, given=arg_overrides or ())
        return state

    return load_harmless


def of_tasks(setup_task: Callable) -> Callable:
    """fairseq's first step of every command, after a check of the configuration it is given."""

    @wraps(setup_task)
    def setup_checked(cfg: Any, *args: Any, **kwargs: Any) -> Any:
        whole = cfg._get_parent() if OmegaConf.is_config(cfg) else None
        require_literals(cfg if whole is None else whole)
        return setup_task(cfg, *args, **kwargs)

    return setup_checked


def apply() -> None:
    """Put the reader, and the checks, where fairseq looks them up."""
    for name in READERS:
        with suppress(ImportError):  # another version has no such module
            importlib.import_module(name)
    for name, options in (READERS | COMMANDS).items():
        if name in sys.modules:
            known = options[0] if len(set(options)) == 1 else "option"
            # A module's own name goes before the built-in one.
            sys.modules[name].eval = partial(read_literal, name=known)  # type: ignore[attr-defined]
    checkpoint_utils.load_checkpoint_to_cpu = of_checkpoints(
        checkpoint_utils.load_checkpoint_to_cpu
    )
    tasks.setup_task = of_tasks(tasks.setup_task)
