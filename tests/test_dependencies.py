"""What the package imports is asked for: what every job needs by its dependencies, the rest by an extra."""

import ast
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "contragrad"
NOTHING = SpecifierSet("<0")
LOWEST = ROOT / "requirements" / "lowest.txt"

IMPORTED_AS = {
    "docstring-parser": "docstring_parser",
    "mlflow-skinny": "mlflow",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
}
"""Distributions whose package is called otherwise."""

EVERY_JOB = ("cli", "api", "run", "tasks", "engine.worker")
"""What is loaded whatever the user wants, by the command line, from Python and in workers."""

FOR_DEVELOPERS = {"dev", "docs"}

READ_BY_TORCH = {"onnxscript", "tensorboard"}
"""torch imports these itself."""


@cache
def project() -> dict[str, list[str]]:
    """What is asked for by each extra; by no extra, what is always."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def asked_for(extra: str) -> set[str]:
    names = {canonicalize_name(Requirement(line).name) for line in project()[extra]}
    return {IMPORTED_AS.get(name, name) for name in names}


def modules(nodes: list[ast.stmt]) -> Iterator[str]:
    """Full names of what the statements import; of `from a import b` both a and a.b."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def others(names: set[str]) -> set[str]:
    """Packages that are neither Python's own nor this one."""
    return {name.partition(".")[0] for name in names} - {"contragrad", *sys.stdlib_module_names}


def imported_by_every_job() -> set[str]:
    """What is imported as soon as the modules are, not in a function."""
    border, seen = [f"contragrad.{name}" for name in EVERY_JOB], set[str]()
    while border:
        module = border.pop()
        path = SOURCE.joinpath(*module.split(".")[1:]).with_suffix(".py")
        if module not in seen:
            seen.add(module)
            border += (
                modules(parsed(path).body) if module.startswith("contragrad.") and path.is_file() else ()
            )
    return others(seen)


def test_whatever_is_imported_is_asked_for() -> None:
    extras = project().keys() - FOR_DEVELOPERS
    asked = set[str]().union(*map(asked_for, extras))
    assert importers().keys() <= asked
    assert asked - importers().keys() == READ_BY_TORCH


def test_what_every_job_imports_is_no_extra() -> None:
    found = imported_by_every_job()
    assert {"torch", "numpy", "rich", "yaml"} <= found
    assert found <= asked_for("")


@cache
def importers() -> dict[str, set[str]]:
    """By package, the modules that import it anywhere in them."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        statements = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.stmt)]
        for package in others(set(modules(statements))):
            found.setdefault(package, set()).add(path.relative_to(SOURCE).as_posix())
    return found


def named_beside(package: str) -> set[str]:
    """The modules, and those of the folders, that comments in pyproject.toml say to need a package."""
    found = set[str]()
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        asks, _, says = line.partition("  # ")
        asked = re.search(r'"([A-Za-z0-9-]+)>=', asks)
        if asked and IMPORTED_AS.get(name := canonicalize_name(asked[1]), name) == package:
            for word in re.findall(r"[\w/]+\.py\b|\b\w+/(?=[ ,:])", says):
                below = {path.relative_to(SOURCE).as_posix() for path in (SOURCE / word).rglob("*.py")}
                found |= below or {word}
    return found


def extras_packages() -> list[str]:
    extras = project().keys() - FOR_DEVELOPERS - {""}
    return sorted(set[str]().union(*map(asked_for, extras)) - READ_BY_TORCH - asked_for(""))


@pytest.mark.parametrize("package", extras_packages())
def test_an_extra_s_package_is_imported_where_pyproject_says(package: str) -> None:
    assert importers()[package] <= named_beside(package)


def test_the_list_of_lowest_versions_is_of_today_s_bounds() -> None:
    lines = LOWEST.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.lstrip().startswith("#")]
    listed = {wanted.name: wanted.specifier for wanted in map(Requirement, pins)}
    bounds = runpy.run_path(str(ROOT / "scripts" / "lowest.py"))["bounds"]()
    assert len(bounds) > 30
    other = [name for name, bound in bounds.items() if not listed.get(name, NOTHING).contains(bound)]
    assert not other, "make lowest-list"
    assert all(str(pin).startswith("==") for pin in listed.values())
