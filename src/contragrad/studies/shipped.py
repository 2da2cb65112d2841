"""Which studies, tables and figures ship with the package, and where their files are."""

from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from contragrad.errors import UserError

FOLDER = Path(str(resources.files("contragrad.studies")))

ALL = "all"
"""All tables and figures of the paper."""


def tables() -> list[str]:
    """The names of all tables."""
    return sorted(path.stem for path in (FOLDER / "tables").glob("*.yaml"))


def figures() -> list[str]:
    """The names of all figures."""
    return sorted(path.stem for path in (FOLDER / "figures").glob("*.yaml"))


def choices() -> list[str]:
    """What can be reproduced, one by one."""
    return [*tables(), *figures()]


def study(name: str) -> Path:
    """The study file of that name: `demo`, or an experiment and its scale, as `reduced-data/smoke`."""
    return FOLDER / f"{name}.yaml"


def definition(name: str) -> Path:
    """The file of a table or figure."""
    return FOLDER / ("figures" if name in figures() else "tables") / f"{name}.yaml"


def require_known(what: str) -> None:
    """Refuses to reproduce what there is not.

    Raises:
        UserError: if it is no table, no figure, not all of them, and no file of somebody's own.
    """
    known = choices()
    if what not in (ALL, *known) and not what.endswith(".yaml"):
        near = get_close_matches(what.lower(), (ALL, *known), 1)
        remedy = near[0] if near else f"{ALL}, {', '.join(known)}, or the .yaml file of a table of your own"
        raise UserError(f"there is no {what}", where="reproduce", remedy=remedy)
