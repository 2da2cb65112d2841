"""Kills a small study with kill -9 at random moments, resumes it each time, and compares how it ends.

    python soak/kills.py --kills 100 --seed 0      # Linux

One study is left alone. Then the same study is begun again and again in new folders, and killed: its driver,
one of its workers, or all of its processes at once. Moments are drawn by stage, so that each has its share.
After each death of a driver this must hold, or the script fails with what it saw:

- the database's integrity_check is ok, and no artefact has its name without being whole;
- no process is left of it.

And at each study's end: table, history and the names of all files are those of the study that was left alone,
and no temporary file lies in the run folder, beside it, or in the system's folder for them.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import yaml
from sklearn.datasets import load_digits

import contragrad.run  # noqa: F401  what every driver takes
from contragrad.artefacts import Artefacts
from contragrad.cli import main

STAGES = {
    "starting": 0.5,
    "reference": 3.0,
    "crafting": 1.5,
    "search": 25.0,
    "refinement": 12.0,
    "measuring": 0.5,
}
"""Seconds after a stage's begin within which it is killed, if it was chosen."""

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


@dataclass
class Tally:
    """What was done."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    stages: collections.Counter[str] = field(default_factory=collections.Counter)
    studies: int = 0
    resumes: int = 0
    half_written: int = 0

    @property
    def count(self) -> int:
        """All kills."""
        return self.kills.total()


def whole(place: Place, folder: Path) -> None:
    """What must hold whenever a process was killed."""
    artefacts = Artefacts(folder / "artefacts")
    for path in artefacts.folder.glob("*.safetensors"):
        kind, _, name = path.stem.partition("-")
        demand(artefacts.find(kind, name) is not None, f"{path} has its name and is not whole")
    if not (folder / "study.db").exists():
        return
    with tempfile.TemporaryDirectory(dir=place.root) as copy:
        # A copy: to open a database mends it.
        for path in folder.glob("study.db*"):
            shutil.copy(path, copy)
        with sqlite3.connect(Path(copy) / "study.db") as database:
            demand(database.execute("pragma integrity_check").fetchall() == [("ok",)], "integrity_check")


def files(folder: Path) -> list[str]:
    """The names of all that lies in the run folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def end_of(place: Place, folder: Path) -> dict[str, Any]:
    """How a study ended, as far as the same study must end so."""
    shown = Driver(place, ("show", folder, "--json"))
    demand(shown.end() == 0, shown.complained.read_text())
    told = json.loads(shown.said.read_text())
    told.pop("folder", None)
    return {
        "table": json.loads((folder / "table.json").read_text()),
        "shown": told,
        "files": files(folder),
    }


def moments(draw: random.Random) -> Iterator[tuple[str, float, str]]:
    """Stage, seconds after its begin, and victim; the victims in turn where there are workers."""
    turns = {"search": 0, "refinement": 0}
    while True:
        for stage in draw.sample(list(STAGES), len(STAGES)):
            victim = "driver"
            if stage in turns:
                victim = ("worker", "driver", "everybody")[turns[stage] % 3]
                turns[stage] += 1
            yield stage, draw.uniform(0, STAGES[stage]), victim


def disturb(driver: Driver, moment: tuple[str, float, str]) -> str | None:
    """Waits for the moment and kills; None if the driver ended before, or is in a later stage already."""
    stage, seconds, victim = moment
    order = list(STAGES)
    limit = time.monotonic() + PATIENCE
    while driver.running() and order.index(driver.stage) < order.index(stage):
        demand(time.monotonic() < limit, f"{stage} does not come")
        driver.listen(limit)
    if driver.stage != stage:
        return None
    moment_comes = time.monotonic() + seconds
    while driver.running() and time.monotonic() < moment_comes:
        driver.listen(moment_comes)
    if not driver.running():
        return None
    workers = driver.workers()
    if victim == "worker" and not workers:
        victim = "driver"
    chosen = {"driver": [driver.process], "worker": workers[:1], "everybody": [driver.process, *workers]}
    for process in chosen[victim]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return victim


def soak(place: Place, *, kills: int, seed: int, seconds: float = 3600.0) -> dict[str, Any]:
    """Kills so many times, or as often as it can in the time, and lets the last study end.

    Raises:
        BrokenPromiseError: if something does not hold that must.
    """
    begun, tally = time.monotonic(), Tally()
    alone = place.runs / "alone"
    driver = Driver(place, ("evolve", "--config", place.study, "--out", alone, "--json"))
    demand(driver.end() == 0, driver.complained.read_text())
    expected, undisturbed = end_of(place, alone), time.monotonic() - begun
    plan = moments(random.Random(seed))
    known = {"alone"}
    while tally.count < kills and time.monotonic() - begun < seconds:
        tally.studies += 1
        folder = place.runs / f"killed-{tally.studies}"
        known.add(folder.name)
        one_study(place, tally, folder, plan, kills)
        demand(end_of(place, folder) == expected, f"{folder} does not end as the study that was left alone")
        for where, right in ((place.temporary, set()), (place.runs, known)):
            left = {path.name for path in where.iterdir()}
            demand(left == right, f"{left} in {where}")
    return {
        "soak": "kills",
        "seed": seed,
        "kills": tally.count,
        "victims": dict(tally.kills),
        "stages": dict(tally.stages),
        "studies": tally.studies,
        "resumes": tally.resumes,
        "evaluations_of_a_study": len(expected["shown"]["history"]),
        "half_written_files_seen": tally.half_written,
        "seconds_undisturbed": round(undisturbed, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def one_study(
    place: Place, tally: Tally, folder: Path, plan: Iterator[tuple[str, float, str]], kills: int
) -> None:
    """A study from its begin to its end, killed as long as kills are wanted."""
    while True:
        words: tuple[str | Path, ...] = ("evolve", "--config", place.study, "--out", folder)
        if folder.exists():
            words = ("resume", folder)
            tally.resumes += 1
        driver = Driver(place, (*words, "--json"))
        while driver.running() and tally.count < kills:
            victim = disturb(driver, next(plan))
            if victim is None:
                continue
            tally.kills[victim] += 1
            tally.stages[driver.stage] += 1
            if victim != "worker":
                break
        code = driver.end()
        driver.gone()
        if folder.exists():
            whole(place, folder)
            tally.half_written += sum("tmp" in name for name in files(folder))
        if code == 0:
            return
        demand(code == -signal.SIGKILL, f"exit code {code}: {driver.complained.read_text()}")


def command() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generations", type=int, default=6, help="of the study")
    parser.add_argument("--seconds", type=float, default=3600.0, help="no study is begun after so many")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as root:
        place = Place(Path(root), chosen.generations)
        found = soak(place, kills=chosen.kills, seed=chosen.seed, seconds=chosen.seconds)
    found |= {"python": sys.version.split()[0], "torch": version("torch")}
    print(json.dumps(found, indent=1))
    sys.exit(found["kills"] < chosen.kills)


if __name__ == "__main__":
    command()
