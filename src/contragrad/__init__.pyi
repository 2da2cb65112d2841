from contragrad.api import audit as audit
from contragrad.api import evolve as evolve
from contragrad.api import export as export
from contragrad.api import load as load
from contragrad.api import resume as resume

__version__: str
