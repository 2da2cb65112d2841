"""A study of 10,000 evaluations on many workers, played on a clock of its own.

    python benchmarks/simulate.py --json

The search, the loop and the memo are the real ones; only the evaluations are made up. Their durations
are log-normal, their fitness grows with a genome's blocks up to a point and has a part that is luck. For
each schedule and number of workers:

- efficiency: seconds of evaluations that the search used, over workers times the study's length;
- waste: evaluations that the search never used, over all;
- accepted: children that replaced a candidate, over all children;
- driver_ms: real milliseconds of the driver for each evaluation, the memo on disk included.
"""

import heapq
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from timing import options, publish

from contragrad.engine import study
from contragrad.engine.executors import Event, Finished
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.work import Result
from contragrad.evolution import search
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Measured, Trial, outcome_to_json
from contragrad.fingerprint import fingerprint, stream
from contragrad.settings.search import Limits, SearchSettings

EVALUATIONS = 10_000
WORKERS = (1, 8, 64, 256)
MEDIAN_SECONDS, SIGMA = 30.0, 0.5


def fitness(trial: Trial) -> float:
    """Made up: larger networks are better up to twenty blocks, and luck is worth some of them."""
    luck = stream(0, "luck", trial.genome.hash).gauss(0, 0.03)
    size = min(len(trial.genome.blocks), 20)
    return min(1.0, max(0.0, 0.9 - 0.6 * math.exp(-size / 8) + luck))


@dataclass(slots=True)
class Clocked:
    """An executor whose tasks take no time but that of its own clock."""

    slots: int
    clock: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    _running: list[tuple[float, str, Trial]] = field(default_factory=list)

    def offer(self, key: str, task: object) -> bool:
        """Starts the task if a worker is free."""
        assert isinstance(task, Trial)
        if len(self._running) >= self.slots or any(key == other for _, other, _ in self._running):
            return False
        self.seconds[key] = MEDIAN_SECONDS * math.exp(stream(0, "seconds", key).gauss(0, SIGMA))
        heapq.heappush(self._running, (self.clock + self.seconds[key], key, task))
        return True

    def wait(self) -> list[Event]:
        """Turns the clock on to the next task's end."""
        self.clock, key, trial = heapq.heappop(self._running)
        result: Result = outcome_to_json(Measured(fitness(trial), 1.0))
        return [Finished(key, result, self.seconds[key])]

    def close(self) -> None:
        """Nothing is left."""


def simulate(settings: SearchSettings, workers: int) -> dict[str, float | str | int]:
    """One study's figures."""
    executor = Clocked(workers)
    used: set[str] = set()
    accepted = 0
    best: list[float] = []

    def key_of(trial: Trial) -> str:
        return fingerprint("simulated/1", str(trial.genome), trial.epochs)

    def on_event(event: study.Event) -> None:
        nonlocal accepted
        if isinstance(event, study.Told):
            used.add(key_of(event.trial))
            if event.before.generation:
                accepted += event.before.population != event.after.population
            best.append(max(member.outcome.fitness for member in event.after.population))

    with tempfile.TemporaryDirectory() as folder, SqliteMemo(Path(folder) / "study.db") as memo:
        state = search.start(settings, Problem(3, 32, 32, 10), seed=0)
        begun = time.perf_counter()
        study.run(state, memo=memo, executor=executor, key_of=key_of, on_event=on_event)
        real = time.perf_counter() - begun
    useful = sum(executor.seconds[key] for key in used)
    return {
        "schedule": settings.schedule,
        "workers": workers,
        "told": len(best),
        "evaluated": len(executor.seconds),
        "efficiency": useful / (workers * executor.clock),
        "waste": 1 - len(used) / len(executor.seconds),
        "accepted": accepted / len(best),
        "best": best[-1],
        "driver_ms": 1e3 * real / len(executor.seconds),
    }


def main() -> None:
    parser = options(__doc__, repeats=1)
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS)
    parser.add_argument("--population", type=int, default=4)
    parser.add_argument("--children", type=int, default=2)
    chosen = parser.parse_args()
    each = chosen.population * chosen.children
    rows = []
    for schedule in ("sequential", "generation"):
        settings = SearchSettings(
            population=chosen.population,
            children=chosen.children,
            generations=chosen.evaluations // each,
            epochs_growth=0,
            schedule=schedule,
            limits=Limits(blocks=40),
        )
        rows += [simulate(settings, workers) for workers in WORKERS]
    names = ("efficiency", "waste", "driver_ms")
    summary = {name: {f"{row['schedule']} {row['workers']}": row[name] for row in rows} for name in names}
    publish("simulate", rows, summary, as_json=chosen.json)


if __name__ == "__main__":
    main()
