"""Prints the lowest versions that pyproject.toml allows, a line each: `make lowest-list` resolves the rest.

Packages of every extra are among them; of several bounds for one package the highest is printed.
"""

import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def bounds() -> dict[str, Version]:
    """The lower bound of each package that is asked for by name.

    Raises:
        ValueError: A package has no bound or several.
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    asked = chain(project["dependencies"], *project["optional-dependencies"].values())
    found: dict[str, Version] = {}
    for wanted in map(Requirement, asked):
        name = canonicalize_name(wanted.name)
        if name != project["name"]:
            [bound] = (each.version for each in wanted.specifier if each.operator == ">=")
            found[name] = max(Version(bound), found.get(name, Version("0")))
    return found


if __name__ == "__main__":
    for name, version in sorted(bounds().items()):
        print(f"{name}=={version}")
