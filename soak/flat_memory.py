"""A search of many days, played in minutes: the driver's memory, as evaluations go by.

    TMPDIR=/dev/shm python soak/flat_memory.py --evaluations 18000      # Linux

The search, its loop, the memo in a file and the watchers (the live table, JSON lines, TensorBoard) are the
real ones, put together as `contragrad evolve --json --tensorboard` does; only the evaluations are made up. Of
real ones that take 100 seconds, 24 hours have 1,728 on 2 workers, and 221,184 on 256.

Memory is called flat if, once a fifth of the evaluations have gone by, the line fitted through the resident
memory rises by at most `--allowed` bytes an evaluation, and that of the second half of the rest too. What a
study must know of each evaluation of its own (the genome and what came out) may grow with it, and is small.
"""

import argparse
import heapq
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

from rich.console import Console

from contragrad.engine.executors import Event, Finished, Progressed
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.study import Told
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Infeasible, Measured, Trial, outcome_to_json
from contragrad.fingerprint import stream
from contragrad.jobs import run
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import StudyConfig
from contragrad.settings.search import Limits, SearchSettings
from contragrad.watch import events
from contragrad.watch.watching import watching

WATCHERS = ("live", "json", "tensorboard")

EPOCHS = 2
SECONDS = 100.0
"""What a real evaluation is taken to last."""

DAY = 24 * 3600 / SECONDS
"""Evaluations of a worker in 24 hours."""


@dataclass(slots=True)
class Clocked:
    """An executor whose tasks take no time but that of its own clock, and report their epochs.

    Args:
        slots: workers.
    """

    slots: int
    _running: list[tuple[float, str, int, Trial]] = field(default_factory=list)
    _clock: float = 0.0

    def offer(self, key: str, task: object) -> bool:
        """Starts the task if a worker is free."""
        assert isinstance(task, Trial)
        if len(self._running) >= self.slots or any(key == other for _, other, _, _ in self._running):
            return False
        heapq.heappush(self._running, (self._clock + self._epoch(key), key, 0, task))
        return True

    def _epoch(self, key: str) -> float:
        return SECONDS / EPOCHS * stream(0, "seconds", key).uniform(0.5, 1.5)

    def wait(self) -> list[Event]:
        """Turns the clock on to the next epoch's end."""
        self._clock, key, epoch, trial = heapq.heappop(self._running)
        epoch += 1
        told = Progressed(key, {"epoch": epoch, "epochs": trial.epochs, "cross_entropy": 1 / epoch})
        if epoch < trial.epochs:
            heapq.heappush(self._running, (self._clock + self._epoch(key), key, epoch, trial))
            return [told]
        luck = stream(0, "luck", trial.genome.hash)
        infeasible = luck.random() < 0.02
        outcome = Infeasible("diverged: made up") if infeasible else Measured(luck.random(), luck.random())
        return [told, Finished(key, outcome_to_json(outcome), self._epoch(key) * EPOCHS)]

    def close(self) -> None:
        """Nothing is left."""


def resident() -> int:
    """Bytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def slope(samples: Sequence[tuple[int, int]]) -> float:
    """Bytes an evaluation, of the line fitted through (evaluations, bytes)."""
    return statistics.linear_regression(*zip(*samples, strict=True)).slope


class OverError(Exception):
    """The time is over."""


def played(
    folder: Path, evaluations: int, workers: int, every: int, seconds: float, watchers: Sequence[str]
) -> list[tuple[int, int]]:
    """Plays the search for so many seconds at most, and samples (evaluations told, bytes resident)."""
    end = time.monotonic() + seconds
    search = SearchSettings(
        population=4,
        children=2,
        generations=evaluations // 8,
        epochs=EPOCHS,
        epochs_growth=0,
        limits=Limits(blocks=40),
    )
    config = StudyConfig(device="cpu", search=search)
    problem = Problem(3, 32, 32, 10)
    workspace = Workspace(folder=folder, config=config, data="made up", problem=problem, weights=None)
    samples: list[tuple[int, int]] = []
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        watching(
            Console(file=nowhere, force_terminal="live" in watchers, width=120, height=40),
            json_to=nowhere if "json" in watchers else None,
            tensorboard="tensorboard" in watchers,
        ) as shown,
        SqliteMemo(folder / "study.db") as memo,
    ):

        def watch(event: events.Event) -> None:
            shown(event)
            if isinstance(event, events.Said):
                raise RuntimeError(event.text)  # a watcher that is left out would make it flat
            if isinstance(event, Told) and event.after.step % every == 0:
                samples.append((event.after.step, resident()))
                if time.monotonic() > end:
                    raise OverError

        watch(events.Opened(folder, config))
        with suppress(OverError):
            run.evolve(workspace, memo, Clocked(workers), watch)
    return samples


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluations", type=int, default=18_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--every", type=int, default=200, help="evaluations from sample to sample")
    parser.add_argument("--seconds", type=float, default=inf, help="it ends after so many, wherever it is")
    parser.add_argument(
        "--watchers", nargs="+", choices=WATCHERS, default=WATCHERS, help="lines are there without live"
    )
    parser.add_argument("--allowed", type=float, default=2048, help="bytes an evaluation")
    chosen = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        samples = played(
            Path(folder),
            chosen.evaluations,
            chosen.workers,
            chosen.every,
            chosen.seconds,
            chosen.watchers,
        )
    steady = samples[len(samples) // 5 :]
    rises = {"all": slope(steady), "second_half": slope(steady[len(steady) // 2 :])}
    flat = all(rise <= chosen.allowed for rise in rises.values())
    found: dict[str, Any] = {
        "soak": "flat_memory",
        "evaluations": samples[-1][0],
        "workers": chosen.workers,
        "watchers": list(chosen.watchers),
        "days_of_2_workers": round(samples[-1][0] / (2 * DAY), 1),
        "bytes_an_evaluation": {name: round(rise) for name, rise in rises.items()},
        "megabytes_a_day_of_2_workers": round(rises["all"] * 2 * DAY / 1e6, 2),
        "megabytes_a_day_of_256_workers": round(rises["all"] * 256 * DAY / 1e6, 1),
        "allowed": chosen.allowed,
        "flat": flat,
        "seconds": round(time.monotonic() - begun, 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "samples": [{"evaluations": count, "megabytes": round(size / 1e6, 2)} for count, size in samples],
    }
    print(json.dumps(found, indent=1))
    sys.exit(not flat)


if __name__ == "__main__":
    main()
