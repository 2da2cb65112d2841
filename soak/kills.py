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
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from drivers import PATIENCE, Driver, Place, demand

from contragrad.artefacts import Artefacts

STAGES = {
    "starting": 0.5,
    "reference": 3.0,
    "crafting": 1.5,
    "search": 25.0,
    "refinement": 12.0,
    "measuring": 0.5,
}
"""Seconds after a stage's begin within which it is killed, if it was chosen."""


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
