"""What the package imports is asked for: what every job needs by its dependencies, the rest by an extra."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "contragrad"

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


def imported_anywhere() -> set[str]:
    trees = map(parsed, SOURCE.rglob("*.py"))
    statements = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return others(set(modules(statements)))


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
    assert imported_anywhere() <= asked
    # torch reads these itself.
    assert asked - imported_anywhere() == {"onnxscript", "tensorboard"}


def test_what_every_job_imports_is_no_extra() -> None:
    found = imported_by_every_job()
    assert {"torch", "numpy", "rich", "yaml"} <= found
    assert found <= asked_for("")
