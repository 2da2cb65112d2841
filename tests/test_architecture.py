"""How the package hangs together: who may import whom, where torch may be, and what every file owes."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "contragrad"
LONGEST_MODULE = 400

# A module imports only from above. A star stands for a folder's modules, in any order without a circle.
# fmt: off
ORDER = (
    "legible", "errors", "studies.shipped", "extras", "files", "outside", "fingerprint",
    "machine.control_groups",
    "settings.choices", "settings.search", "settings.config", "settings.checks", "settings.config_file",
    "evolution.genome", "evolution.shapes", "evolution.spectrum",
    "evolution.mutation", "evolution.population", "evolution.trial", "evolution.search",
    "evolution.lookahead",
    "data.*",
    "networks.randomness", "networks.linear", "networks.convolution", "networks.batchnorm",
    "networks.pooling", "networks.blocks", "networks.network", "networks.misalignment",
    "networks.inputs", "networks.objectives",
    "networks.training", "networks.inference", "networks.ensemble", "networks.factory",
    "networks.architectures",
    "artefacts", "reference", "onnx.graph", "onnx.lowering", "onnx.network", "onnx.sizes", "onnx.model",
    "attacks.adapter", "attacks.transfer", "attacks.autoattack", "attacks.library", "attacks.examples",
    "defences", "fitness", "engine.*",
    "run_folder.workspace", "run_folder.contents", "run_folder.notes", "run_folder.history",
    "evaluate", "report", "pictures.picture_file", "pictures.explain", "pictures.draw", "watch.*",
    "jobs.curve", "jobs.refine", "jobs.tasks", "jobs.recipes", "jobs.full_trainings", "jobs.material",
    "jobs.workers", "jobs.entry", "jobs.run", "jobs.coevolution", "jobs.calibrate",
    "audit.settings", "audit.queries", "audit.filters", "audit.braced", "audit.attempts", "audit.target",
    "audit.model", "audit.sources", "audit.distillation", "audit.attackers",
    "audit.bouts", "audit.pace", "audit.arsenal", "audit.input_gradients",
    "audit.planted", "audit.probes", "audit.facts", "audit.statistics",
    "audit.compared", "audit.preconditions", "audit.findings", "audit.strength", "audit.masked",
    "audit.standing", "audit.figures", "audit.runner",
    "audit.checks.check",
    "audit.checks.claim", "audit.checks.attack", "audit.checks.masking", "audit.checks.transfer",
    "audit.checks.baselines", "audit.checks.every", "audit.verdict", "audit.card", "audit.plots",
    "audit.shown", "audit.asked", "audit.place", "audit.command",
    "export.*", "results", "api",
    "page.*", "reproduce.*", "machine.doctor", "machine.inventory", "commands.*", "cli",
)
# fmt: on

TORCH = {"torch", "torchvision", "torchattack", "pyautoattack"}


def files() -> dict[str, Path]:
    """Every module by its name below the package; a folder's __init__ has the folder's name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = files()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}
PLAIN = [
    name
    for name in MODULES
    if name.split(".")[0] in ("errors", "fingerprint", "settings", "evolution", "engine")
]
each_module = pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "contragrad")


def rank(name: str) -> int:
    """The place of a module in the order."""
    entry = star if (star := name.rpartition(".")[0] + ".*") in ORDER else name
    assert entry in ORDER, f"{name} has no place in ORDER"
    return ORDER.index(entry)


@cache
def imports(name: str) -> frozenset[str]:
    """Full names of what a module imports, wherever in the file it does."""
    return frozenset(_imports(ast.parse(MODULES[name].read_text(encoding="utf-8"))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [full for full in inside if full.removeprefix("contragrad.") in MODULES]
            yield from modules or [str(node.module)]


def own_imports(name: str) -> set[str]:
    """The package's modules that a module imports."""
    return {
        full.removeprefix("contragrad").removeprefix(".")
        for full in imports(name)
        if full == "contragrad" or full.startswith("contragrad.")
    }


@each_module
def test_every_module_is_in_the_order(name: str) -> None:
    assert name in PACKAGES or rank(name) >= 0


@each_module
def test_imports_point_upwards(name: str) -> None:
    if name in PACKAGES:
        assert not own_imports(name), "a folder's __init__ imports nothing of the package"
        return
    for other in own_imports(name) - PACKAGES:
        starred = ORDER[rank(name)].endswith(".*")
        assert rank(other) < rank(name) or (starred and rank(other) == rank(name)), other


def test_no_imports_go_in_a_circle() -> None:
    assert list(TopologicalSorter({name: own_imports(name) for name in MODULES}).static_order())


@pytest.mark.parametrize("name", PLAIN)
def test_torch_is_not_imported_for_plain_values(name: str) -> None:
    reached: set[str] = set()
    border = [name]
    while border:
        module = border.pop()
        if module not in reached:
            reached.add(module)
            border += own_imports(module)
            assert not {full.split(".")[0] for full in imports(module)} & TORCH, module


def test_plain_modules_run_without_torch() -> None:
    modules = ", ".join(f"contragrad.{name}" for name in PLAIN)
    code = f"import {modules}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@each_module
def test_a_module_has_a_docstring_and_is_short(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= LONGEST_MODULE


BASES = {"Protocol", "NamedTuple", "Exception", "ArithmeticError", "RuntimeError", "UserError"}
"""What a class may be made of beside torch's own, whose interface it then has."""


@each_module
def test_nothing_inherits_but_networks_protocols_and_errors(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for each in ast.walk(tree):
        if isinstance(each, ast.ClassDef):
            bases = {ast.unparse(base) for base in each.bases} - BASES
            assert all(base.startswith("nn.") or base == "torch.autograd.Function" for base in bases), (
                each.name
            )


def documents() -> list[Path]:
    """The project's Markdown files: not those of tools, runs or the virtual environment."""
    folders = [
        path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name != "runs"
    ]
    return sorted([*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))])


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for path in documents():
        text = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        for target in re.findall(r"\]\(<?([^)>\s]+)", text):
            file = target.partition("#")[0]
            if not re.match(r"[a-z]+:", target) and file and not (path.parent / file).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken
