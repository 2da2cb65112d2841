"""Packages that only some jobs need: refused before the work begins, with what to install."""

from collections.abc import Iterable
from importlib.util import find_spec

from contragrad.errors import UserError


def require(packages: Iterable[str], extra: str, *, job: str, where: str) -> None:
    """Checks that packages are installed, without importing them.

    Args:
        packages: by the names that are imported.
        extra: contragrad's extra that brings them.
        job: what needs them, as a subject.
        where: what of the user's asks for it.

    Raises:
        UserError: naming those that are missing.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        raise lacking(" and ".join(missing), extra, job=job, where=where)


def lacking(packages: str, extra: str, *, job: str, where: str) -> UserError:
    """What to say of packages that could not be imported; see `require`."""
    return UserError(f"{job} needs {packages}", where=where, remedy=f"pip install 'contragrad[{extra}]'")
