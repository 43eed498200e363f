"""The data sets: each module here whose name does not begin with _ has one as ``DATASET``."""

import importlib
import pkgutil

from recipes.dataset import DataSet

NAMES = sorted(x.name for x in pkgutil.iter_modules(__path__) if not x.name.startswith("_"))


def find(name: str) -> DataSet:
    """The entry of one of NAMES."""
    return importlib.import_module(f"{__name__}.{name}").DATASET
