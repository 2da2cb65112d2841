"""Wheel and source distribution are whole, and a fresh environment works with what is in the wheel."""

import email
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import contragrad

ROOT = Path(__file__).parent.parent
VERSION = contragrad.__version__
PACKAGE = ROOT / "src" / "contragrad"

pytestmark = pytest.mark.slow

STUDY = """\
data: {source: npz, path: data.npz}
reference: {epochs: 1}
attack: {steps: 1}
search: {population: 1, children: 1, generations: 0, initial_blocks_max: 2, epochs: 1, hidden: 8}
refine: {networks: 1, epochs: 0}
workers: 1
"""


def ran(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is made of it and of nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    ran(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    assert found.name == f"contragrad-{VERSION}-py3-none-any.whl"
    return found


def files(folder: Path) -> set[str]:
    """What the package holds in the checkout."""
    return {
        f"contragrad/{path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files(PACKAGE)
    for wanted in (
        "py.typed",
        "data/fashion_mnist_reduced.npz",
        "studies/demo.yaml",
        "studies/tables/table4.yaml",
    ):
        assert f"contragrad/{wanted}" in held


def test_the_source_distribution_holds_what_the_wheel_is_made_of(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in files(PACKAGE)} <= held
    assert {"pyproject.toml", "README.md", "LICENSE", "NOTICE.md"} <= held
    assert not any(name.startswith((".venv", "runs", ".git/")) for name in held)


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"contragrad-{VERSION}.dist-info/METADATA"))


def test_the_metadata_are_whole(wheel: Path) -> None:
    told = metadata(wheel)
    assert told["Name"] == "contragrad"
    assert told["Version"] == VERSION
    assert told["License-Expression"] == "MIT"
    assert told.get_all("License-File") == ["LICENSE", "NOTICE.md"]
    assert told["Requires-Python"] == "<3.14,>=3.11"
    assert "# contragrad" in str(told.get_payload())
    for extra in ("audit", "onnx", "paper", "docs"):
        assert extra in (told.get_all("Provides-Extra") or [])


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with contragrad from the wheel; what it asks for is lent."""
    folder = tmp_path_factory.mktemp("fresh")
    ran(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    programs = folder / "bin"
    words = ("--quiet", "--no-deps", "--no-index", wheel)
    ran(sys.executable, "-m", "pip", "--python", programs / "python", "install", *words, cwd=folder)
    # On the path only: .pth files in it, the checkout's among them, are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def test_a_fresh_environment_has_the_wheel_s_own(installed: Path, tmp_path: Path) -> None:
    code = "import contragrad; print(contragrad.__file__)"
    assert str(installed.parent) in ran(installed / "python", "-c", code, cwd=tmp_path)
    assert ran(installed / "contragrad", "--version", cwd=tmp_path) == f"contragrad {VERSION}\n"


def test_a_fresh_environment_s_doctor_is_content(installed: Path, tmp_path: Path) -> None:
    told = ran(installed / "contragrad", "doctor", cwd=tmp_path)
    assert told.startswith(f"contragrad {VERSION}\n")
    assert "broken" not in told
    assert "10,000 training and 1,000 test images" in told


def test_a_study_runs_outside_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = """
import numpy as np
images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
labels = np.arange(60) % 2
np.savez("data.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
"""
    ran(installed / "python", "-c", code, cwd=tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    words = ("evolve", "--config", "study.yaml", "--out", "run")
    told = ran(installed / "contragrad", *words, cwd=tmp_path)
    assert "NE+GM 1" in told
    assert (tmp_path / "run" / "table.json").is_file()
