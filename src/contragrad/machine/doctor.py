"""What a machine has -> what of it contragrad can work with, and what to do about the rest.

Plain values in and out: what is there is looked up by `machine`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from contragrad.data.memory import bytes_text
from contragrad.data.wanted import Surveyed
from contragrad.legible import legible

Level = Literal["ok", "absent", "warning", "broken"]

GIB = 2**30
LEAST_DISK = GIB // 4
"""Bytes below which a demo's run folder may not fit."""
ROOMY_DISK = 2 * GIB
LEAST_MEMORY = GIB
"""Bytes; a worker of the demo takes about half of it."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
"""What torch reads of the environment."""

READABLE = (
    "an npz with x_train, y_train, x_test and y_test; folders train/CLASS and test/CLASS; torchvision's "
    "layout; contragrad data check says more"
)

PURPOSES = {
    "audit": "AutoAttack, the query attack and the card's pictures",
    "digits": "the digits data set",
    "docs": "this project's documentation",
    "huggingface": "data sets of Hugging Face's hub",
    "mlflow": "watching studies in MLflow",
    "onnx": "networks in ONNX files: to export, load and audit them",
    "paper": "integrated gradients, bilateral filtering and figures of the paper",
    "report": "the HTML page of a run",
    "ray": "evaluating on many machines",
    "tensorboard": "watching studies in TensorBoard",
}
"""What the extras are for, as far as it is told here."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that contragrad asks for.

    Args:
        name: on PyPI.
        required: what versions, such as `>=2.9`.
        found: the installed version; None if there is none.
        fits: whether that version is one of those.
        extras: who asks for it; none if contragrad itself does.
    """

    name: str
    required: str
    found: str | None
    fits: bool
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Torch:
    """What torch says, asked in a process of its own.

    Args:
        devices: the device kinds that tensors can live on, the fastest first.
        names: what the accelerators are called.
        threads: threads of an operation.
    """

    devices: tuple[str, ...]
    names: tuple[str, ...] = ()
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was looked up.

    Args:
        contragrad: the version.
        python: the version.
        python_required: the versions that contragrad is made for, such as `>=3.11`.
        python_fits: whether it is one of those.
        platform: the system, in words.
        packages: what contragrad and its extras ask for.
        torch: what torch says, or the last line of what went wrong.
        cores: logical cores of the machine.
        usable: those this process may use; a container's limit can be a part of one.
        environment: those of `THREADS` that are set.
        folder: the current one.
        writable: whether a folder can be made in it.
        disk: bytes free there.
        memory: bytes available; None where the system does not say.
        data: what was found where data were looked for.
    """

    contragrad: str
    python: str
    python_required: str
    python_fits: bool
    platform: str
    packages: tuple[Package, ...]
    torch: Torch | str
    cores: int
    usable: float
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str
    writable: bool
    disk: int
    memory: int | None
    data: tuple[Surveyed, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: `absent` is what may be missing, `broken` what a study needs and does not have.
        subject: what was looked at.
        says: what was found.
        remedy: what to do about it; empty if nothing need be done.
    """

    level: Level
    subject: str
    says: str
    remedy: str = ""


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Everything that was looked at, in the order in which it is needed."""
    return (
        _python(facts),
        *_packages(facts),
        _torch(facts),
        *_cores(facts),
        _memory(facts),
        _disk(facts),
        *_data(facts),
        *_extras(facts),
    )


def _python(facts: Facts) -> Finding:
    says = f"{facts.python} on {facts.platform}"
    if facts.python_fits:
        return Finding("ok", "Python", says)
    return Finding("broken", "Python", says, f"a virtual environment of Python {facts.python_required}")


def _packages(facts: Facts) -> Iterator[Finding]:
    needed = [package for package in facts.packages if not package.extras]
    for package in needed:
        if not package.fits:
            yield _unfit("broken", package, f"pip install '{package.name}{package.required}'")
    good = [f"{package.name} {package.found}" for package in needed if package.fits]
    yield Finding("ok", "packages", ", ".join(good) or "none")


def _unfit(level: Level, package: Package, remedy: str) -> Finding:
    if package.found is None:
        return Finding(level, package.name, "is not installed", remedy)
    return Finding(level, package.name, f"{package.found} is not {package.required}", remedy)


def _torch(facts: Facts) -> Finding:
    torch = facts.torch
    if isinstance(torch, str):
        return Finding(
            "broken",
            "torch",
            f"does not work: {torch}",
            "pip install --force-reinstall torch torchvision; see https://pytorch.org/get-started",
        )
    names = f" ({', '.join(torch.names)})" if torch.names else ""
    says = f"works on {', '.join(torch.devices)}{names}; device: auto is {torch.devices[0]}"
    return Finding("ok", "torch", says)


def _cores(facts: Facts) -> Iterator[Finding]:
    count, started = f"{facts.usable:g} of {facts.cores}", max(1, int(facts.usable))
    yield Finding("ok", "cores", f"{count} may be used; workers: 0 starts {started} processes")
    if isinstance(facts.torch, str):
        return
    set_here = ", ".join(f"{name}={value}" for name, value in facts.environment.items())
    says = f"torch uses {facts.torch.threads} for the reference and attacks ({set_here or 'OpenMP: not set'})"
    if set_here and facts.torch.threads < int(facts.usable):
        yield Finding("warning", "threads", says, f"unset {' '.join(facts.environment)}")
    else:
        yield Finding("ok", "threads", says)


def _memory(facts: Facts) -> Finding:
    if facts.memory is None:
        return Finding("ok", "memory", "the system does not say how much is available")
    says = f"{bytes_text(facts.memory)} available"
    if facts.memory < LEAST_MEMORY:
        return Finding("warning", "memory", says, "--workers 1, a smaller --training.batch_size")
    return Finding("ok", "memory", says)


def _disk(facts: Facts) -> Finding:
    says = f"{bytes_text(facts.disk)} free in {facts.folder}"
    if not facts.writable:
        return Finding(
            "broken", "disk", f"nothing can be written in {facts.folder}", "another folder, or --out"
        )
    if facts.disk < LEAST_DISK:
        return Finding("broken", "disk", says, "free room, or --out on another disk")
    if facts.disk < ROOMY_DISK:
        return Finding("warning", "disk", says, "a study of days keeps more; --out on another disk")
    return Finding("ok", "disk", says)


def _data(facts: Facts) -> Iterator[Finding]:
    usable = any(found.source for found in facts.data)
    for found in facts.data:
        if found.source is not None:
            yield Finding("ok", "data", f"{found.where}: {found.says}; data.source: {found.source}")
        else:
            # Beside data that can be read, another file need not be data.
            yield Finding(
                "warning" if usable else "broken",
                "data",
                f"{found.where}: {found.says}",
                READABLE,
            )


def _extras(facts: Facts) -> Iterator[Finding]:
    names = dict.fromkeys(extra for package in facts.packages for extra in package.extras)
    for extra in names:
        asked = [package for package in facts.packages if extra in package.extras]
        lacking = [package.name for package in asked if not package.fits]
        purpose = PURPOSES.get(extra, "installed")
        says = f"{purpose}; lacks {', '.join(lacking)}" if lacking else purpose
        remedy = f"pip install 'contragrad[{extra}]', if you want it" if lacking else ""
        yield Finding("absent" if lacking else "ok", f"extra {extra}", says, remedy)


def as_text(facts: Facts) -> str:
    """The findings for people, a remedy below each that has one."""
    lines = [f"contragrad {facts.contragrad}"]
    for finding in findings(facts):
        lines.append(f"{finding.level:<8} {finding.subject}: {legible(finding.says)}")
        if finding.remedy:
            lines.append(f"{'':<8} try: {finding.remedy}")
    return "\n".join(lines)
