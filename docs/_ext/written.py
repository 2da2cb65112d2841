"""Pages that are written at build time from the code, so that nothing is said twice.

Settings are those of the records' docstrings, commands those of the parser, the API that of the modules.
"""

import argparse
import pkgutil
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import docstring_parser
from sphinx.application import Sphinx

import contragrad
from contragrad import cli
from contragrad.audit.checks.every import CHECKS
from contragrad.audit.settings import AuditSettings
from contragrad.commands.audit import DEFAULTS
from contragrad.fingerprint import canonical
from contragrad.settings.checks import kind_text
from contragrad.settings.config import StudyConfig

FOLDER = "_written"
NO_API = {"cli", "commands"}
"""What is used by its command line and not imported."""


def settings(record: type = StudyConfig, prefix: str = "", level: int = 2) -> Iterator[str]:
    """A record's settings as Markdown: a table, then each of its sections."""
    parsed = docstring_parser.parse(record.__doc__ or "")
    says = {param.arg_name: _line(param.description) for param in parsed.params}
    hints = get_type_hints(record)
    rows = [field for field in fields(record) if not is_dataclass(hints[field.name])]
    yield "\n| setting | takes | default | |\n|---|---|---|---|"
    for field in rows:
        key, kind = f"{prefix}{field.name}", kind_text(hints[field.name])
        yield f"| `{key}` | {_cell(kind)} | {_default(field)} | {_cell(says[field.name])} |"
    for field in fields(record):
        kind = hints[field.name]
        if is_dataclass(kind):
            section = docstring_parser.parse(kind.__doc__ or "").short_description
            yield f"\n{'#' * level} `{prefix}{field.name}`\n\n{section}"
            yield from settings(kind, f"{prefix}{field.name}.", level + 1)  # type: ignore[arg-type]


def audit_settings() -> Iterator[str]:
    """The audit's settings as Markdown, by the option that sets each."""
    parsed = docstring_parser.parse(AuditSettings.__doc__ or "")
    says = {param.arg_name: _line(param.description) for param in parsed.params}
    (audit,) = (parser for parser in _parsers(cli.whole_parser()) if parser.prog == "contragrad audit")
    options = {action.dest: action.option_strings[0] for action in audit._actions if action.option_strings}
    yield "| setting | option | default | |\n|---|---|---|---|"
    for field in fields(AuditSettings):
        option = f"`{options[field.name]}`" if field.name in options else "–"
        default = DEFAULTS.get(field.name) or _default(field)
        yield f"| `{field.name}` | {option} | {default} | {_cell(says[field.name])} |"


def checks() -> Iterator[str]:
    """The audit's checks as Markdown."""
    yield "| | question | asked by |\n|---|---|---|"
    for check in CHECKS:
        yield f"| {check.number} | {_cell(check.question)} | {_cell(check.source)} |"


def commands() -> Iterator[str]:
    """What each command says when it is asked for help."""
    for parser in _parsers(cli.whole_parser()):
        yield f"## `{parser.prog}`\n\n```text\n{parser.format_help().strip()}\n```\n"


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of the commands, and of what they are divided into."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from _parsers(command)


def rooms() -> dict[str, list[str]]:
    """The modules by room: a folder, or a module that stands by itself."""
    found: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(contragrad.__path__, "contragrad."):
        room = module.name.split(".")[1]
        if room not in NO_API and not module.ispkg:
            found.setdefault(room, []).append(module.name)
    return found


def api(room: str, modules: list[str]) -> str:
    """A room's page."""
    text = f"# {room}\n"
    for module in modules:
        heading = "" if module == f"contragrad.{room}" else f"\n## {module.removeprefix('contragrad.')}\n"
        text += f"{heading}\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n"
    return text


def index() -> str:
    """The API's first page."""
    text = (
        "# API reference\n\nFrom the docstrings. The rooms in their order, and what each is for, stand in\n"
    )
    text += "[Architecture](../architecture.md#rooms).\n\n| room | |\n|---|---|\n"
    for room in rooms():
        says = (import_module(f"contragrad.{room}").__doc__ or "").split("\n\n")[0]
        text += f"| [{room}]({room}.md) | {_cell(_line(says))} |\n"
    return f"{text}\n```{{toctree}}\n:hidden:\n\n" + "\n".join(rooms()) + "\n```\n"


def further(docs: Path) -> str:
    """Navigation to the pages that the index does not name."""
    named = set((docs / "index.md").read_text(encoding="utf-8").split())
    pages = sorted(page.stem for page in docs.glob("*.md") if page.stem not in {*named, "index"})
    toctree = "```{toctree}\n:hidden:\n:caption: Tutorials\n\n" + "\n".join(pages) + "\n```\n"
    return toctree if pages else "\n"


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(field: "Field[Any]") -> str:
    value = canonical(field.default if field.default is not MISSING else field.default_factory())  # type: ignore[misc]
    return "–" if value is None else f"`{value}`"


def write(app: Sphinx) -> None:
    """Writes the parts that pages include, and the API's pages."""
    there = Path(app.srcdir) / FOLDER
    parts = {
        "settings.md": "\n".join(settings()),
        "audit.md": "\n".join(audit_settings()),
        "checks.md": "\n".join(checks()),
        "commands.md": "\n".join(commands()),
    }
    parts |= {"further.md": further(Path(app.srcdir)), "../api/index.md": index()}
    parts |= {f"../api/{room}.md": api(room, modules) for room, modules in rooms().items()}
    for name, text in parts.items():
        path = there / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Has them written before pages are read."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
