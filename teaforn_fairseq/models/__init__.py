"""The twins, one file a family: importing the folder registers them all, as fairseq does too."""

from importlib import import_module
from pkgutil import iter_modules

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")
