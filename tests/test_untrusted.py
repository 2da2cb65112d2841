"""Files from others run no code, reach no other files, and end in an error that names them."""

import ast
import io
import json
import os
import pickle
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from contragrad import evaluate, load, outside, report
from contragrad.audit.card import Unreadable
from contragrad.cli import main
from contragrad.data import npz, pictures, sources
from contragrad.engine.memo import SqliteMemo
from contragrad.errors import UserError
from contragrad.evolution.trial import Infeasible, outcome_from_json
from contragrad.legible import legible
from contragrad.page import cards
from contragrad.run_folder import history, notes
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, TABLE
from contragrad.settings import config_file
from contragrad.settings.config import DataSettings, StudyConfig
from contragrad.watch.events import Said
from contragrad.watch.lines import lines
from pages import CONFIG, ROWS, audited, deployed, measured, studied
from performers import record

SOURCE = Path(__file__).parent.parent / "src" / "contragrad"

UNPICKLERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "runpy"}
"""Modules that run what they read."""

RUNNERS = {"eval", "exec", "compile", "__import__"}
"""Functions of Python that do."""

BY_NAME = {
    "__init__.py": "the package's own names, each loaded when it is first used",
    "engine/work.py": "what workers set up, a name in our own source",
    "networks/factory.py": "factories: the one way to have code run, by a name that the user gives",
}
"""Modules that import by a name, and whose name it is."""

RUN_NEVERTHELESS = {
    # What a driver and its workers on Ray say to each other: whoever may speak there may run anything.
    "engine/ray_executor.py": {"pickle"},
    "engine/ray_node.py": {"pickle"},
    # What we have just written ourselves, to compare its answers with the network's.
    "export/formats.py": {"runpy", "torch.export.load"},
}
"""What modules run all the same."""

NEVER = {
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "pandas.read_pickle",
    "os.system",
    "torch.jit.load",
    "torch.export.load",
    "torch.hub.load",
}
"""Functions of libraries that run what they read."""

ESC = "\x1b[2J\x1b]0;owned\x07"
"""Has a terminal clear itself and take another title."""


# Nothing that is read is run.


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def faults(tree: ast.Module) -> Iterator[str]:
    """What in a module could run what it reads."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            inside = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for each in node.names:
                full = inside + each.name
                imported[each.asname or each.name] = full
                if full.split(".")[0] in UNPICKLERS:
                    yield full.split(".")[0]

    def meant(function: ast.expr) -> str:
        head, dot, rest = ast.unparse(function).partition(".")
        return imported.get(head, head) + dot + rest

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and meant(node) in NEVER:
            yield meant(node)
        elif isinstance(node, ast.Call):
            called = meant(node.func)
            options = {each.arg: ast.unparse(each.value) for each in node.keywords}
            reads_arrays = called.endswith(("numpy.load", "np.load", "read_array", "write_array"))
            if (
                called in RUNNERS
                or (called == "torch.load" and options.get("weights_only") != "True")
                or (reads_arrays and options.get("allow_pickle") != "False")
                or (called.startswith("subprocess.") and options.get("shell", "False") != "False")
                or "trust_remote_code" in options
            ):
                yield ast.unparse(node)


def test_no_module_can_run_what_it_reads() -> None:
    found = {name: set(faults(tree)) for name, tree in modules()}
    assert {name: each for name, each in found.items() if each} == RUN_NEVERTHELESS


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "import joblib.numpy_pickle",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from torch import load\nload(path)",
        "torch.export.load(path)",
        "from torch.export import load as read\nread(path)",
        "import runpy",
        "from pandas import read_pickle\nread_pickle(path)",
        "import pandas as pd\npd.read_pickle(path)",
        "readers = {'.pt2': torch.export.load}",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.lib.format.read_array(stream)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "datasets.load_dataset(name, trust_remote_code=True)",
    ],
)
def test_what_would_run_it_is_seen(code: str) -> None:
    assert list(faults(ast.parse(code)))


def test_code_is_found_by_name_in_known_places_only() -> None:
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).split(".")[-1] == "import_module"
    }
    assert found == set(BY_NAME)


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["study.yaml", "table.json", "x.npz", "x.safetensors", "x.onnx"])
def test_a_pickle_in_the_place_of_anything_is_not_opened(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    reads: dict[str, Callable[[Path], object]] = {
        ".yaml": config_file.read,
        ".json": evaluate.read,
        ".npz": npz.read,
    }
    with pytest.raises(UserError):
        reads.get(path.suffix, load)(path)
    assert not (tmp_path / "ran").exists()


def test_an_array_that_is_a_pickle_is_not_opened(tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "ran")], object)
    np.savez(tmp_path / "x.npz", x_train=bomb, y_train=bomb, x_test=bomb, y_test=bomb)
    with pytest.raises(UserError, match="Object arrays are pickles"):
        npz.read(tmp_path / "x.npz")
    assert not (tmp_path / "ran").exists()


def test_old_files_of_torchvision_which_are_pickles_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(UserError, match="this is a pickle"):
        sources.load(DataSettings(source="mnist", path=str(tmp_path)))
    assert not (tmp_path / "ran").exists()


def test_yaml_that_asks_for_an_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"seed: !!python/object/apply:os.mkdir ['{tmp_path / 'ran'}']")
    with pytest.raises(UserError, match="no YAML"):
        config_file.read(path)
    assert not (tmp_path / "ran").exists()


def test_a_page_calls_the_factory_of_a_run_only_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("contragrad.page.write.drawn", lambda chart: "<svg></svg>")
    run = tmp_path / "run"
    config = replace(CONFIG, reference=replace(CONFIG.reference, factory="strange:make"))
    studied(run, config)
    measured(run)
    assert main(["show", str(run)]) == 0
    assert main(["report", str(run)]) == 0
    assert "whose code a report does not run" in (run / "report.html").read_text()
    assert not (tmp_path / "ran").exists()


# Sizes.


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 300_000, "more than 262,144 bytes"),
        ("[" * 60_000, "in each other"),
        ("a: &a [1]\nb: [*a, *a]", "an alias, line 2"),
        ("seed: 1\nseed: 2", "seed comes twice, line 2"),
        ("data: {path: a, path: b}", "path comes twice"),
        ("seed: 0x" + "f" * 5000, "a number of so many digits"),
        ("seed: 1" + ":59" * 5000, "a number of so many digits"),
        ("seed: 2026-99-99", "month must be in"),
        ("seed: 0x_", "invalid literal"),
        ("? [a, b]\n: c", "unhashable"),
        ('data: {path: "a\\0b"}', "a null character"),
        ('data: {path: "\\ud800"}', "surrogates"),
        ('search: {channels: "&a [1, *a]"}', "an alias"),
        ("attack: {epsilon: 1e999999999}", "wrong kind"),
        ("search: {minimum_distance: .inf}", "no distance"),
    ],
)
def test_a_study_file_that_would_take_any_time_or_memory_is_refused(
    text: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=why):
        config_file.read(path)


@pytest.mark.parametrize("word", ["--search.channels=&a [1, *a]", "--seed=" + "[" * 3000, "--data.path=\0"])
def test_so_is_such_an_option(word: str) -> None:
    with pytest.raises(UserError, match="a setting cannot be read"):
        config_file.read(None, [word])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5000,
        "NaN",
        "-Infinity",
        "1e999",
        '{"a": 1, "a": 2}',
        '"\\ud800"',
    ],
)
def test_json_that_is_none_for_others_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        outside.from_json(text)


def test_a_picture_that_says_it_is_huge_is_not_decoded(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path = tmp_path / "bomb.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match="picture"):
        pictures.read(path, grey=True)
    content[16:24] = struct.pack(">II", 9_000, 9_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    with pytest.raises(UserError, match="9,000 x 9,000 pixels"):
        pictures.read(path, grey=True)


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_array_that_is_packed_as_numpy_packs_none_is_refused(packed: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", packed) as archive:
        for name in npz.NAMES:
            archive.writestr(f"{name}.npy", b"x")
    with pytest.raises(UserError, match="packed as numpy packs none"):
        npz.read(tmp_path / "x.npz")


# Databases.


def tampered(folder: Path, *statements: str) -> Path:
    path = folder / DATABASE
    with SqliteMemo(path) as memo:
        memo.put(record(1))
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path


@pytest.mark.parametrize(
    "statements",
    [
        ("create trigger t after insert on meta begin delete from evaluation; end",),
        (
            "alter table meta rename to other",
            "create view meta as select 'data' key, hex(randomblob(9)) content",
        ),
        ("create virtual table words using fts5(word)",),
        ("pragma user_version = -3",),
    ],
)
def test_a_database_whose_schema_runs_is_refused(statements: tuple[str, ...], tmp_path: Path) -> None:
    path = tampered(tmp_path, *statements)
    for read_only in (True, False):
        with pytest.raises(UserError, match="none of contragrad's"):
            SqliteMemo(path, read_only=read_only)


def test_a_schema_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tampered(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"task text not null", b"task \xe4\xe4xt not null"))
    with pytest.raises(UserError, match=r"none of contragrad|damaged|cannot be used"):
        SqliteMemo(path, read_only=True)


@pytest.mark.parametrize("column", ["task", "outcome", "seconds", "provenance"])
@pytest.mark.parametrize(
    "value", ["x'00ff'", "null", "'[1]'", "'{\"a\": 1}'", "9e999", "'" + "[" * 9000 + "'"]
)
def test_a_column_may_hold_anything(column: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table evaluation (key, task, outcome, seconds, provenance)")
        database.execute("create table meta (key, content)")
        database.execute("insert into evaluation values ('a', 'what', '{}', 1.0, '{}')")
        database.execute(f"update evaluation set {column} = {value}")
        database.execute("pragma user_version = 1")
        database.commit()
    accepted = {
        ("task", "'[1]'"),
        ("task", "'{\"a\": 1}'"),
        ("task", "'" + "[" * 9000 + "'"),
        ("outcome", "'{\"a\": 1}'"),
    }
    with SqliteMemo(path, read_only=True) as memo:
        if (column, value) in accepted:
            assert memo.get("a")
            return
        with pytest.raises(UserError, match="evaluation a is damaged"):
            memo.get("a")


@pytest.mark.parametrize(
    ("key", "content"),
    [
        (notes.PROBLEM, '{"channels": "3); import os", "height": 8, "width": 8, "classes": 2}'),
        (notes.PROBLEM, '{"channels": 3, "height": 99999999, "width": 8, "classes": 2}'),
        (notes.PROBLEM, '{"channels": true, "height": 8, "width": 8, "classes": 2}'),
        (notes.PROBLEM, "[]"),
        (notes.SETTINGS, "[1]"),
        (notes.SETTINGS, "[" * 9000),
        (notes.SEEN, '{"a": 1}'),
        (notes.SEEN, "[1]"),
    ],
)
def test_a_damaged_note_is_named(key: str, content: str, tmp_path: Path) -> None:
    studied(tmp_path, steps=2)
    with SqliteMemo(tmp_path / DATABASE) as memo:
        memo.set_meta(key, content)
    with pytest.raises(UserError, match="a note of the study is damaged") as caught:
        history.load(tmp_path)
    assert key in caught.value.where


@pytest.mark.parametrize(
    "stored",
    [
        {"clean_accuracy": 1.5, "adversarial_accuracy": 0.5},
        {"clean_accuracy": float("nan"), "adversarial_accuracy": 0.5},
        {"clean_accuracy": 0.5, "adversarial_accuracy": 0.5, "curve": [2.0]},
        {"stopped": True, "reached": 0.5},
        {"stopped": 0, "reached": 0.5},
        {"stopped": 1, "reached": -0.5},
    ],
)
def test_an_outcome_out_of_range_is_none(stored: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"accuracy|no outcome"):
        outcome_from_json(stored)  # type: ignore[arg-type]


def test_artefacts_that_are_other_than_a_study_makes_are_named_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contragrad.page.write.drawn", lambda chart: "<svg></svg>")
    studied(tmp_path)
    measured(tmp_path)
    deployed(tmp_path)
    there = history.stored_workspace(tmp_path)
    splits = there.artefacts.load("splits", there.split_name)
    there.artefacts.save("splits", there.split_name, {**splits, "test.labels": splits["test.labels"] + 99})
    assert main(["report", str(tmp_path)]) == 0
    assert "an artefact does not hold the study" in (tmp_path / "report.html").read_text()
    there.artefacts.save("splits", there.split_name, splits)
    there.artefacts.save("network", there.reference_name, {"a": splits["test.labels"]})
    assert main(["report", str(tmp_path)]) == 0
    assert "the weights are another network" in (tmp_path / "report.html").read_text()


# What a terminal would obey.


def test_text_from_outside_is_shown_without_effect() -> None:
    assert legible(f"a{ESC}\n\u202e") == "a\\x1b[2J\\x1b]0;owned\\x07\\n\\u202e"
    assert legible("a\nb", lines=True) == "a\nb"
    assert legible("abcdef", 3) == "abc..."


def test_an_error_commands_no_terminal() -> None:
    assert "\x1b" not in str(UserError(ESC, where=ESC, remedy=ESC))


def test_show_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studied(tmp_path)
    measured(
        tmp_path,
        [
            replace(row, name=f"[bold]{ESC}[/]{row.name}" if row.name[:2] != "NE" else row.name)
            for row in ROWS
        ],
    )
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        row = database.execute("select key from evaluation order by rowid desc").fetchone()
        outcome = json.dumps({"infeasible": f"[red]{ESC}"})
        database.execute("update evaluation set outcome = ? where key = ?", (outcome, *row))
        database.commit()
    assert main(["show", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "[bold]" in said.replace("\n", "")


def test_neither_does_a_line_of_a_run() -> None:
    stream = io.StringIO()
    with lines(Console(file=stream, force_terminal=False)) as watch:
        watch(Said(f"[bold]{ESC}"))
    assert "\x1b" not in stream.getvalue()
    assert "[bold]" in stream.getvalue()


def test_names_in_a_folder_of_data_command_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "test"):
        for name in (ESC.replace("/", ""), "other"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            (folder / f"{ESC.replace('/', '')}.png").write_bytes(b"none")
            (folder / f"2{ESC.replace('/', '')}.png").write_bytes(b"none")
    assert main(["data", "check", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\\x1b" in said.err


# What is passed on.


def test_a_link_beside_a_card_puts_no_other_file_in_a_page(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private")
    card = audited(tmp_path / "run")
    card.with_name("matrix.png").symlink_to(secret)
    (found,) = cards.read(tmp_path / "run")
    assert isinstance(found, Unreadable)
    assert "matrix.png is no PNG" in found.why


@pytest.mark.parametrize(
    "change",
    [
        {"withstood": {"a": 1}, "epsilon": ["x"]},
        {
            "attackers": [
                {"attacker": "a", "threat": "t", "standing": "s", "fooled": {"share": 7, "interval": [0, 1]}}
            ]
        },
        {
            "attackers": [
                {
                    "attacker": "a",
                    "threat": "t",
                    "standing": "s",
                    "fooled": {"share": 0.5, "interval": [1, 0]},
                }
            ]
        },
        {"attackers": 3},
    ],
)
def test_a_card_may_hold_anything(change: dict[str, object], tmp_path: Path) -> None:
    path = audited(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (found,) = cards.read(tmp_path)
    assert isinstance(found, Unreadable) == ("attackers" in change)


@pytest.mark.parametrize(
    "change",
    [
        {"clean_accuracy": "0.5"},
        {"clean_accuracy": 2},
        {"clean_interval": [0.5]},
        {"parameters": 2**70},
        {"images": None},
        {"name": ["a"]},
        {"weights": "a\0"},
        {"more": 1},
    ],
)
def test_a_table_may_hold_anything(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / TABLE
    evaluate.write(ROWS, path)
    stored = json.loads(path.read_text())
    stored[0] |= change
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match="the table cannot be read"):
        evaluate.read(path)


def test_infeasible_is_told_in_one_line() -> None:
    assert "\n" not in report.outcome_text(Infeasible("a\nb"))


def test_the_folder_of_a_study_needs_no_more_than_its_file(tmp_path: Path) -> None:
    config_file.write(StudyConfig(), tmp_path / CONFIGURATION)
    assert history.load(tmp_path).told == ()
