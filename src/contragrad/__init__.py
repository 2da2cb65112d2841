"""Image classifiers that adversarial examples transferred from a known network do not fool."""

from importlib import import_module

__version__ = "0.1.0"

# The words of the command line are in contragrad.api; here it would name a folder as well as a function.
__all__ = ["load"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("contragrad.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
