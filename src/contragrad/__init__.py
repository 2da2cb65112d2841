"""Image classifiers that adversarial examples transferred from a known network do not fool."""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

# What may be imported of here is the command line's words; their types stand in __init__.pyi.
__all__ = ["audit", "evolve", "export", "load", "resume"]


class _Package(ModuleType):
    """Keeps `contragrad.audit` the function: a folder of that name sets itself in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("contragrad.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
