from contragrad.api import load

__all__ = ["load"]
__version__: str
