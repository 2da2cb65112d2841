"""A small study's command as a process that can be killed: its place, its drivers and their stages."""

import json
import os
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import yaml
from sklearn.datasets import load_digits

import contragrad.jobs.run  # noqa: F401  what every driver takes
from contragrad.cli import main

STUDY: dict[str, Any] = {
    "device": "cpu",
    "workers": 2,
    "reference": {"epochs": 6},
    "attack": {"steps": 40},
    "training": {"batch_size": 16},
    "search": {
        "epochs": 1,
        "epochs_growth": 0,
        "channels": [4, 8],
        "hidden": 16,
        "initial_blocks_max": 8,
        "limits": {"flops": 100_000},
    },
    "refine": {"epochs": 12, "checkpoint_every": 1},
}

PATIENCE = 300.0
"""Seconds after which something that must come is said not to."""


class BrokenPromiseError(AssertionError):
    """What must hold after a kill does not."""


def demand(holds: object, what: str) -> None:
    """Fails unless it holds."""
    if not holds:
        raise BrokenPromiseError(what)


@dataclass
class Place:
    """A folder for everything, with a temporary folder of its own."""

    root: Path
    generations: int

    def __post_init__(self) -> None:
        self.temporary.mkdir()
        self.runs.mkdir()
        digits = load_digits()
        images, labels = (digits.images * 15).astype(np.uint8), digits.target.astype(np.int64)
        parts: dict[str, Any] = {
            f"{axis}_{name}": values[part]
            for name, part in (("train", slice(0, 300)), ("test", slice(300, 400)))
            for axis, values in (("x", images), ("y", labels))
        }
        np.savez(self.data, **parts)
        own = {
            "data": {"source": "npz", "path": str(self.data)},
            "search": STUDY["search"] | {"generations": self.generations},
        }
        self.study.write_text(yaml.safe_dump(STUDY | own))

    @property
    def temporary(self) -> Path:
        """What TMPDIR is for the study."""
        return self.root / "tmp"

    @property
    def runs(self) -> Path:
        """Where run folders lie, and nothing else."""
        return self.root / "runs"

    @property
    def data(self) -> Path:
        """The images."""
        return self.root / "digits.npz"

    @property
    def study(self) -> Path:
        """The study's settings."""
        return self.root / "study.yaml"


@dataclass
class Driver:
    """The command in a process and a session of its own, whose standard output is read as it comes.

    It is forked from this process, which has imported what it needs: several seconds are saved in each of a
    hundred starts. Its workers are begun as always.
    """

    place: Place
    words: tuple[str | Path, ...]
    stage: str = "starting"
    code: int | None = None
    process: int = 0
    _unread: str = ""

    def __post_init__(self) -> None:
        for path in (self.said, self.complained):
            path.write_bytes(b"")
        self.process = os.fork()
        if self.process == 0:
            self._drive()
        self._reader = self.said.open(encoding="utf-8")

    @property
    def said(self) -> Path:
        """Its standard output."""
        return self.place.root / "stdout"

    @property
    def complained(self) -> Path:
        """Its standard error."""
        return self.place.root / "stderr"

    def _drive(self) -> NoReturn:
        code = 70
        try:
            os.setsid()
            for path, descriptor in ((self.said, 1), (self.complained, 2)):
                os.dup2(os.open(path, os.O_WRONLY), descriptor)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            torch.set_num_threads(1)
            os.environ["TMPDIR"] = tempfile.tempdir = str(self.place.temporary)
            code = main([str(word) for word in self.words])
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def running(self) -> bool:
        """Whether it has not ended."""
        if self.code is None and (ended := os.waitpid(self.process, os.WNOHANG))[0]:
            self.code = os.waitstatus_to_exitcode(ended[1])
            self._reader.close()
        return self.code is None

    def listen(self, until: float) -> None:
        """Reads what is said until then, until another stage begins, or until it ends."""
        stage = self.stage
        while self.running() and time.monotonic() < until and self.stage == stage:
            self._unread += self._reader.read()
            *lines, self._unread = self._unread.split("\n")
            for line in lines:
                self.stage = stage_of(json.loads(line)) or self.stage
            time.sleep(0.005)

    def end(self) -> int:
        """Its exit code, once it has ended."""
        limit = time.monotonic() + PATIENCE
        while self.running():
            demand(time.monotonic() < limit, f"{self.words} does not end")
            time.sleep(0.02)
        assert self.code is not None
        return self.code

    def workers(self) -> list[int]:
        """Its worker processes."""
        return [other for other in self.session() if b"spawn_main" in _read(f"/proc/{other}/cmdline")]

    def session(self) -> list[int]:
        """The processes that it has begun and that have not ended, itself left out."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            # PID (NAME) STATE PARENT GROUP SESSION
            state, _, _, session = _read(f"{path}/stat").rpartition(b")")[2].split()[:4] or [b""] * 4
            if session == str(self.process).encode() and state != b"Z" and path.name != str(self.process):
                found.append(int(path.name))
        return found

    def gone(self) -> None:
        """Nothing is left of it."""
        end = time.monotonic() + PATIENCE
        while left := self.session():
            demand(time.monotonic() < end, f"processes {left} outlive their driver")
            time.sleep(0.02)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has just ended
        return b""


def stage_of(event: dict[str, Any]) -> str | None:
    """The stage that begins with an event, if one does."""
    if event["event"] == "search":
        return "search"
    text = event.get("text", "") if event["event"] == "stage" else ""
    begins = {
        "training the reference": "reference",
        "crafting": "crafting",
        "evolving": "search",
        "training": "refinement",
        "the networks": "refinement",
        "measuring": "measuring",
    }
    return next((stage for words, stage in begins.items() if text.startswith(words)), None)
