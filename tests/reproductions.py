"""Data and a definition for tests of the paper's tables: small files, and a table of two columns."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contragrad.cli import main
from contragrad.jobs.recipes import RECIPES
from contragrad.reproduce.definition import DataName, Definition
from contragrad.reproduce.definition_file import parse
from contragrad.reproduce.setups import FILES, Setup

TEXT = """
title: two columns
experiment: reduced-data
columns:
  clean:
  attacked: {source: reference}
networks:
  reference: {clean: 0.5, attacked: 0.088}
  NE+GM 1: {clean: 0.578}
  NE 1 without GM:
"""
DEFINITION = parse("small", TEXT)


def hold(folder: Path, name: DataName, *, shade: int = 0, train: int = 60, test: int = 20) -> Path:
    """Puts a reduced set of ten classes there, all of whose images have one shade."""
    shape = (32, 32, 3) if name == "cifar10" else (28, 28)
    path = folder / FILES[name]
    np.savez_compressed(
        path,
        x_train=np.full((10 * train, *shape), shade, dtype=np.uint8),
        y_train=np.arange(10 * train) % 10,
        x_test=np.full((10 * test, *shape), shade, dtype=np.uint8),
        y_test=np.arange(10 * test) % 10,
    )
    return path


def hold_all(folder: Path) -> Setup:
    """Puts all sets there, and gives a setup of the smallest scale on them."""
    folder.mkdir(exist_ok=True)
    for name in FILES:
        hold(folder, name)
    return Setup(scale="smoke", seed=0, paper_protocol=False, data=folder, out=folder / "out")


def seeds(setup: Setup, *numbers: int) -> list[Setup]:
    return [replace(setup, seed=number) for number in numbers]


def call(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, output and progress of a command."""
    output, progress = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(progress):
        code = main([*map(str, words)])
    return code, output.getvalue(), progress.getvalue()


def table(folder: Path, name: str) -> Any:
    return json.loads((folder / name / "seeds-0" / "table.json").read_text())


def copy_databases(made: Path, folder: Path) -> None:
    """Copies what studies below a folder know: their databases and settings, and no weights."""
    for database in made.rglob("study.db"):
        there = folder / database.parent.relative_to(made)
        there.mkdir(parents=True)
        for file in (database, database.with_name("study.yaml")):
            shutil.copy(file, there)


def require_nothing_made(folder: Path, progress: str) -> None:
    """Asserts that all that was asked there was known."""
    assert "evaluations known" in progress
    assert not [word for word in ("training", "crafting", "initial candidate") if word in progress]
    assert not [*folder.rglob("network-*"), *folder.rglob("adversarial-*")]


def require_whole(folder: Path, definition: Definition) -> None:
    """Asserts that a table at the smallest scale has every network in every column."""
    found = table(folder, definition.name)
    assert found["networks"].keys() == definition.networks.keys()
    (epochs,) = found["epochs"]
    trained = {name for name in definition.networks if RECIPES[name].filter is None}
    assert trained <= epochs.keys()
    assert all(count > 0 for count in epochs.values())
    for name, row in found["networks"].items():
        for column in definition.shown:
            entry = row[column]
            assert entry["published"] == definition.networks[name].get(column)
            (measured,) = entry["measured"]
            assert 0 <= measured["hits"] <= measured["count"]
    assert (folder / definition.name / "seeds-0" / "table.txt").read_text().count("│") > len(
        definition.networks
    )
