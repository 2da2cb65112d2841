"""The documentation: every setting is in it, and every block of it that is shown runs.

A block is run unless its caption says why it is not. The blocks of a page run in order, in one folder:
`diff` is applied to a copy of the source, `console` commands must print what stands below them (`...` is any
text), `python` is a program of its own, `yaml` is read as a study file.
"""

import doctest
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

from contragrad import cli
from contragrad.audit.settings import AuditSettings
from contragrad.export.formats import FORMATS
from contragrad.export.network_file import Description
from contragrad.settings import checks, config_file
from contragrad.watch import jsonlines

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NOT_RUN = "Not run by the tests: "

RUN_ELSEWHERE = re.compile(r"tutorial.*\.md")
"""Pages that have tests of their own."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, and the line that it begins in."""

    language: str
    text: str
    line: int


def pages() -> list[Path]:
    """Those that people wrote."""
    built = {"_build", "_written", "api"}
    return [page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in built]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are programs or their input."""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.map is not None:
            place = token.map[0] + 1
            assert token.info, f"{page}:{place}: a block says its language"
            if token.info.startswith("{code-block}"):
                assert f":caption: {NOT_RUN}" in token.content, f"{page}:{place}: run it, or say why not"
            elif not token.info.startswith("{") and token.info not in ("text", "json"):
                yield Block(token.info, token.content, place)


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), ""))
        else:
            command, printed = found[-1]
            found[-1] = (command, printed + line)
    return found


class Reader:
    """Somebody who works through a page, in a folder of his own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "study.yaml").write_text((DOCS / "quickstart.yaml").read_text())
        self.environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def does(self, block: Block) -> None:
        """What the block says.

        Raises:
            AssertionError: if it does not do what it should.
        """
        match block.language:
            case "diff":
                self._checkout()
                self._ran(["git", "apply", "-"], given=block.text)
            case "python":
                self._ran([sys.executable, "-"], given=block.text)
            case "yaml":
                (self.folder / "block.yaml").write_text(block.text)
                config_file.read(self.folder / "block.yaml")
            case "console":
                for command, printed in commands(block.text):
                    came = self._ran(["bash", "-c", command])
                    assert not printed or doctest.OutputChecker().check_output(printed, came, SAME), (
                        f"{command}printed\n{came}"
                    )
            case other:
                pytest.fail(f"nobody knows how to run {other}")

    def _checkout(self) -> None:
        """A copy of the source and its tests, which is what runs from now on."""
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("src/contragrad", "tests", "benchmarks"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        self.environment["PYTHONPATH"] = str(self.folder / "src")

    def _ran(self, command: list[str], given: str = "") -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}: {done.stdout}{done.stderr}"
        return done.stdout


RUN = [page for page in pages() if list(blocks(page)) and not RUN_ELSEWHERE.fullmatch(page.name)]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(DOCS)))
def test_what_a_page_shows_runs(page: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in blocks(page):
        try:
            reader.does(block)
        except AssertionError as error:
            pytest.fail(f"{page}:{block.line}: {error}")


def test_pages_that_must_run_have_blocks() -> None:
    names = {page.name for page in RUN}
    assert {"quickstart.md", "how-it-works.md", "file-formats.md"} <= names
    recipes = {path.name for path in (DOCS / "extend").glob("*.md")} - {"index.md"}
    assert recipes == {"attack.md", "defence.md", "objective.md", "mutation.md", "block.md", "table.md"}
    assert recipes <= names


def test_a_block_that_does_not_do_what_it_says_is_noticed(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.does(Block("console", "$ echo one two\none ...\n", 1))
    for language, text in (
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ false\n"),
        ("python", "assert 1 > 2\n"),
        ("diff", "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-nothing of it\n+something\n"),
    ):
        with pytest.raises(AssertionError):
            reader.does(Block(language, text, 1))


def test_a_block_that_is_not_run_says_why(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```{code-block} console\n$ rm -r /\n```\n")
    with pytest.raises(AssertionError, match="run it, or say why not"):
        list(blocks(page))
    page.write_text(f"```{{code-block}} console\n:caption: {NOT_RUN}it takes days.\n$ sleep 1e6\n```\n")
    assert not list(blocks(page))


# What is written from the code.


@pytest.fixture(scope="module")
def written() -> ModuleType:
    """What writes pages at build time."""
    spec = importlib.util.spec_from_file_location("written", DOCS / "_ext" / "written.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_is_told_with_what_it_means(written: ModuleType) -> None:
    rows = [
        line.split(" | ") for line in "\n".join(written.settings()).splitlines() if line.startswith("| `")
    ]
    told = {row[0].strip("| `"): row[-1].strip(" |") for row in rows}
    assert told.keys() == {key for key, kind in checks.kinds().items() if not is_dataclass(kind)}
    assert all(told.values())


def test_every_event_for_scripts_is_told() -> None:
    page = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    section = page.partition("## `--json`")[2]
    written = re.findall(r'"event": "(\w+)"', inspect.getsource(jsonlines))
    assert len(written) == 11
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == {"event", *written}


def test_what_an_exported_file_says_of_itself_is_told() -> None:
    page = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"## Exported networks\n(.*?)\n## ", page, re.S)
    for name in (*FORMATS, "version", *(field.name for field in fields(Description))):
        assert f"| `{name}` |" in section


def test_every_setting_of_the_audit_is_told_with_its_option(written: ModuleType) -> None:
    told = "\n".join(written.audit_settings())
    for field in fields(AuditSettings):
        assert f"| `{field.name}` |" in told
    assert "| `minutes` | `--budget` |" in told


def test_every_command_and_every_module_is_told(written: ModuleType) -> None:
    told = "\n".join(written.commands())
    for command in cli.COMMANDS:
        assert f"## `contragrad {command.name}`" in told
    rooms = written.rooms()
    assert "contragrad.evolution.search" in rooms["evolution"]
    assert rooms["fitness"] == ["contragrad.fitness"]
    assert all(f"| [{room}]({room}.md) |" in written.index() for room in rooms)
