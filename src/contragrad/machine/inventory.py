"""What this machine has: versions, torch, cores, memory, disk and data, each looked up and none trusted.

Nothing here imports torch into the process: it may be what is broken.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from contragrad import __version__
from contragrad.data import memory
from contragrad.data.wanted import Surveyed
from contragrad.machine.control_groups import usable_cores
from contragrad.machine.doctor import THREADS, Facts, Package, Torch

PATIENCE = 300
"""Seconds that torch has to be imported on a cold disk."""

PROBE = """
import json, torch, torchvision, torchattack
there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
devices = [name for name, present in there.items() if present]
for device in devices:
    images = torch.rand(2, 1, 8, 8, device=device, requires_grad=True)
    torch.nn.Conv2d(1, 4, 3).to(device)(images).square().sum().backward()
    assert images.grad.isfinite().all(), f"a convolution on {device} has no finite gradient"
names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
print(json.dumps({"devices": devices, "names": names, "threads": torch.get_num_threads()}))
"""
"""What torch is asked: to import what builds on it, and for a convolution's gradient on every device."""

READ = "import sys; from contragrad.data.survey import tell; tell(sys.argv[1])"


def look(data: Path | None) -> Facts:
    """Looks everything up.

    Args:
        data: a file or folder with images; None are those that ship.
    """
    torch = ask_torch()
    folder = Path.cwd()
    python_required = metadata.metadata("contragrad")["Requires-Python"]
    return Facts(
        contragrad=__version__,
        python=platform.python_version(),
        python_required=python_required,
        python_fits=SpecifierSet(python_required).contains(platform.python_version(), prereleases=True),
        platform=f"{platform.system()} {platform.machine()}",
        packages=look_at_packages(),
        torch=torch,
        cores=os.cpu_count() or 1,
        usable=usable_cores(),
        environment={name: os.environ[name] for name in THREADS if name in os.environ},
        folder=str(folder),
        writable=_writable(folder),
        disk=shutil.disk_usage(folder).free,
        memory=memory.available(),
        data=_data(data) if isinstance(torch, Torch) else (),
    )


def look_at_packages() -> tuple[Package, ...]:
    """What the installed contragrad asks for, each package once."""
    extras: dict[tuple[str, str], list[str]] = {}
    for line in metadata.requires("contragrad") or ():
        asked = Requirement(line)
        extra = next((name for name in _extras() if _is_for(asked, name)), "")
        if asked.name != "contragrad" and extra != "dev":
            extras.setdefault((asked.name, str(asked.specifier)), []).extend([extra] if extra else [])
    return tuple(_package(name, required, tuple(who)) for (name, required), who in extras.items())


def _package(name: str, required: str, extras: tuple[str, ...]) -> Package:
    found = None
    with suppress(metadata.PackageNotFoundError):
        found = metadata.version(name)
    fits = found is not None and SpecifierSet(required).contains(found, prereleases=True)
    return Package(name, required, found, fits, extras)


def _extras() -> list[str]:
    return metadata.metadata("contragrad").get_all("Provides-Extra") or []


def _is_for(asked: Requirement, extra: str) -> bool:
    return asked.marker is not None and asked.marker.evaluate({"extra": extra})


def ask_torch() -> Torch | str:
    """What torch says, or the last line of what went wrong."""
    answer = _asked(PROBE)
    if isinstance(answer, str):
        return answer
    return Torch(devices=tuple(answer["devices"]), names=tuple(answer["names"]), threads=answer["threads"])


def _asked(code: str, *words: str) -> Any:
    """What code prints as JSON in a process of its own; as text, the last line of what went wrong there."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *words],  # -P: a torch.py in the current folder is none
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE} seconds"
    if done.returncode < 0:
        return f"the process was ended by signal {-done.returncode}"
    if done.returncode:
        return (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".contragrad-"):
            return True
    except OSError:
        return False


def _data(place: Path | None) -> tuple[Surveyed, ...]:
    answers = _asked(READ, "" if place is None else str(place))
    if isinstance(answers, str):
        return (Surveyed(str(place or "ships with contragrad"), answers, None),)
    return tuple(Surveyed(**answer) for answer in answers)
