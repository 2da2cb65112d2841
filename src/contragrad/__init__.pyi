# Imports nothing of the package, which would be a circle through every module for who checks types.
from collections.abc import Callable
from pathlib import Path

from torch import nn

__all__ = ["load"]
__version__: str

def load(
    path: str | Path, *, network: str | None = None, factory: Callable[[], nn.Module] | None = None
) -> nn.Module: ...
