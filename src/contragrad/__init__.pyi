from contragrad.api import audit, evolve, export, load, resume

__all__ = ["audit", "evolve", "export", "load", "resume"]
__version__: str
