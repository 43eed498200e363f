"""The extras of the package, whose libraries are not there unless asked for."""

import importlib.util
from collections.abc import Mapping


def require_extra(command: str, extra: str, packages: Mapping[str, str]) -> None:
    """Stop unless what a command's results need is installed.

    Args:
        command: its name.
        extra: what brings the packages.
        packages: by module.

    Raises:
        ValueError: one is not.
    """
    missing = [
        name for module, name in packages.items() if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise ValueError(
            f"{command}: needs {', '.join(missing)}, which is not installed. Install the extra"
            f' {extra}, in a clone: pip install --constraint constraints.txt ".[{extra}]".'
        )
