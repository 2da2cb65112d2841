"""The doctor: which facts are sound, which are not, and that what is broken is found on this machine."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contragrad import cli
from contragrad.commands.doctor import DOCTOR
from contragrad.data import memory
from contragrad.data.survey import survey
from contragrad.data.wanted import Surveyed
from contragrad.machine import doctor, inventory
from contragrad.machine.control_groups import usable_cores
from contragrad.machine.doctor import GIB, Facts, Package, Torch, as_text, findings
from test_data_memory import machine as linux

SOUND = Facts(
    contragrad="0.1.0",
    python="3.11.7",
    python_required=">=3.12,<3.99",
    python_fits=True,
    platform="Linux x86_64",
    packages=(
        Package("torch", ">=2.9", "2.14.1", fits=True),
        Package("matplotlib", ">=3.9", "3.11.2", fits=True, extras=("audit", "paper")),
        Package("kornia", ">=0.8", "0.9.0", fits=True, extras=("paper",)),
    ),
    torch=Torch(devices=("cpu",), threads=4),
    cores=4,
    usable=4.0,
    folder="/there",
    writable=True,
    disk=50 * GIB,
    memory=8 * GIB,
    data=(Surveyed("ships with contragrad", "10 training and 5 test images", "fashion-mnist-reduced"),),
)
LOST = Package("torch", ">=2.9", None, fits=False)
OLD = Package("torch", ">=2.9", "2.0", fits=False)
NO_KORNIA = Package("kornia", ">=0.8", None, fits=False, extras=("paper",))
NOTHING = Surveyed("/there", "no images are here", None)


def test_a_sound_machine_has_nothing_to_do() -> None:
    found = findings(SOUND)
    assert {finding.level for finding in found} == {"ok"}
    assert not any(finding.remedy for finding in found)
    assert "try:" not in as_text(SOUND)


@pytest.mark.parametrize(
    ("change", "level", "subject", "says", "remedy"),
    [
        ({"python_fits": False}, "broken", "Python", "3.11.7", "Python >=3.12,<3.99"),
        ({"packages": (LOST,)}, "broken", "torch", "is not installed", "pip install 'torch>=2.9'"),
        ({"packages": (OLD,)}, "broken", "torch", "2.0 is not >=2.9", "pip install 'torch>=2.9'"),
        ({"packages": (NO_KORNIA,)}, "absent", "extra paper", "lacks kornia", "'contragrad[paper]'"),
        ({"torch": "ImportError: no libc10.so"}, "broken", "torch", "no libc10.so", "--force-reinstall"),
        (
            {"torch": Torch(devices=("cpu",), threads=1), "environment": {"OMP_NUM_THREADS": "1"}},
            "warning",
            "threads",
            "OMP_NUM_THREADS=1",
            "unset OMP_NUM_THREADS",
        ),
        ({"memory": GIB // 2}, "warning", "memory", "536.9 MB", "--workers 1"),
        ({"writable": False}, "broken", "disk", "nothing can be written", "--out"),
        ({"disk": GIB // 8}, "broken", "disk", "134.2 MB free", "free room"),
        ({"disk": GIB}, "warning", "disk", "1.1 GB free", "--out"),
        ({"data": (NOTHING,)}, "broken", "data", "no images are here", "x_train"),
        ({"data": (NOTHING, *SOUND.data)}, "warning", "data", "no images are here", "x_train"),
    ],
)
def test_what_is_not_sound_is_found_with_what_to_do(
    change: dict[str, Any], level: str, subject: str, says: str, remedy: str
) -> None:
    before = set(findings(SOUND))
    new = [finding for finding in findings(replace(SOUND, **change)) if finding not in before]
    (finding,) = [finding for finding in new if finding.subject == subject and finding.remedy]
    assert finding.level == level
    assert says in finding.says
    assert remedy in finding.remedy
    worst = {each.level for each in new if each is not finding}
    assert worst <= {"ok"}, "one fault is one finding"


@pytest.mark.parametrize(
    ("usable", "says"), [(0.5, "0.5 of 4 may be used; workers: 0 starts 1 "), (3.0, "3 of 4 may be used")]
)
def test_cores_are_those_that_a_container_leaves(usable: float, says: str) -> None:
    (cores,) = (each for each in findings(replace(SOUND, usable=usable)) if each.subject == "cores")
    assert cores.level == "ok"
    assert says in cores.says


def test_an_accelerator_is_the_automatic_device() -> None:
    torch = Torch(devices=("cuda", "cpu"), names=("A100",), threads=4)
    (finding,) = (each for each in findings(replace(SOUND, torch=torch)) if each.subject == "torch")
    assert "device: auto is cuda" in finding.says
    assert "A100" in finding.says


def test_every_extra_says_what_it_is_for() -> None:
    extras = {extra for package in inventory.look_at_packages() for extra in package.extras}
    assert extras
    assert extras <= doctor.PURPOSES.keys()


# The machine.


def test_this_machine_has_what_the_tests_run_with() -> None:
    packages = {package.name: package for package in inventory.look_at_packages()}
    assert len(packages) == len(inventory.look_at_packages()), "a package is told once"
    for name in ("torch", "numpy", "torchattack"):
        assert packages[name].fits
        assert not packages[name].extras
    assert {"audit", "paper"} <= set(packages["matplotlib"].extras)
    assert "pytest" not in packages
    assert 0 < usable_cores() <= (os.cpu_count() or 1)


def test_the_doctor_and_a_study_see_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 700_000_000)
    monkeypatch.setattr(inventory, "ask_torch", lambda: "not asked")
    (finding,) = (each for each in findings(inventory.look(None)) if each.subject == "memory")
    assert finding.level == "warning"
    assert "700.0 MB available" in finding.says


def test_a_system_that_does_not_say_what_memory_it_has_is_no_fault() -> None:
    (finding,) = (each for each in findings(replace(SOUND, memory=None)) if each.subject == "memory")
    assert finding.level == "ok"
    assert "does not say" in finding.says


def test_the_versions_of_python_are_those_that_the_package_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "ask_torch", lambda: "not asked")
    assert inventory.look(None).python_required == metadata.metadata("contragrad")["Requires-Python"]


def test_a_torch_that_cannot_be_imported_is_told_by_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libc10.so: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert inventory.ask_torch() == "ImportError: libc10.so: no such file"


def test_a_torch_that_crashes_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert inventory.ask_torch() == "the process was ended by signal 4"
    (tmp_path / "torch.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(inventory, "PATIENCE", 0.5)
    assert inventory.ask_torch() == "no answer in 0.5 seconds"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/box", {"box/cpu.max": "150000 100000"}, 1.5),
        ("0::/box/own", {"box/cpu.max": "150000 100000", "box/own/cpu.max": "max 100000"}, 1.5),
        ("0::/elsewhere", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, float("inf")),
        ("0::/", {}, float("inf")),
        ("0::/", {"cpu.max": "torn"}, float("inf")),
        (
            "4:cpu,cpuacct:/box",
            {"cpu/box/cpu.cfs_quota_us": "50000\n", "cpu/box/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
        (
            "4:cpu:/",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            float("inf"),
        ),
    ],
)
def test_a_container_s_share_of_the_cores(
    groups: str, files: dict[str, str], cores: float, tmp_path: Path
) -> None:
    root = linux(tmp_path, 700, f"{groups}\n", files)
    assert usable_cores(root) == min(cores, usable_cores(tmp_path / "none"))


# Data.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images, labels = np.zeros((6, 4, 4), np.uint8), np.arange(6) % 2
    np.savez(tmp_path / "good.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    np.savez(tmp_path / "other.npz", weights=images)
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    return tmp_path


def test_each_set_of_a_folder_is_surveyed(folder: Path) -> None:
    found = survey(folder)
    assert [each.source for each in found] == ["npz", None, None]
    assert found[0].says == "6 training and 6 test images of 1 x 4 x 4, 2 classes"
    assert "there is no array x_train" in found[1].says
    assert "mnist was not found" in found[2].says


def test_a_file_and_an_empty_place_are_surveyed(folder: Path) -> None:
    assert [each.source for each in survey(folder / "good.npz")] == ["npz"]
    assert [each.source for each in survey(folder / "other.npz")] == [None]
    for empty in (folder / "MNIST", folder / "nowhere"):
        (found,) = survey(empty)
        assert found.source is None
        assert found.where == str(empty)


def test_the_images_that_ship_are_there() -> None:
    (found,) = survey(None)
    assert found.source == "fashion-mnist-reduced"
    assert "10,000 training" in found.says


# The command.


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """What the command is told of the machine; the first one is."""
    told = [SOUND]
    monkeypatch.setattr(inventory, "look", lambda data: told[0])
    return told


def test_the_command_ends_well_unless_something_is_broken(
    facts: list[Facts], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([DOCTOR.name]) == 0
    out, err = capsys.readouterr()
    assert out == as_text(SOUND) + "\n"
    assert not err
    facts[0] = replace(SOUND, memory=0)
    assert cli.main(["doctor"]) == 0
    facts[0] = replace(SOUND, writable=False, data=(NOTHING,))
    capsys.readouterr()
    assert cli.main(["doctor"]) == 2
    out, err = capsys.readouterr()
    assert out == as_text(facts[0]) + "\n"
    assert "at: disk, data" in err


def test_the_command_tells_scripts(facts: list[Facts], capsys: pytest.CaptureFixture[str]) -> None:
    facts[0] = replace(SOUND, torch="ImportError: gone", data=())
    assert cli.main(["doctor", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["facts"]["torch"] == "ImportError: gone"
    assert [each["subject"] for each in told["findings"] if each["level"] == "broken"] == ["torch"]


def test_the_doctor_says_that_torch_is_broken_without_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch is broken here')")
    done = subprocess.run(
        [sys.executable, "-m", "contragrad.cli", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "broken   torch: does not work: ImportError: torch is broken here" in done.stdout
    assert "Traceback" not in done.stderr
