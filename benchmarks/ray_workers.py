"""What Ray costs beside worker processes, on real evaluations of reduced Fashion-MNIST on one machine.

    RAY_worker_niceness=0 python benchmarks/ray_workers.py --json

- ray_time: the same evaluations by two workers of a Ray cluster over those by two processes, in turns;
- messages_ms: what a message of a running task takes from its worker to the driver, on Ray.

Starting the cluster and loading what tasks share is not timed. Ray gives its workers a lower priority (15)
unless it is told not to, which matters where the machine has other work.
"""

import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from prepared import prepared
from timing import options, publish

from contragrad.engine.executors import Executor
from contragrad.engine.ray_cluster import connected
from contragrad.engine.ray_executor import RayExecutor
from contragrad.engine.study import run_tasks
from contragrad.engine.work import Perform, Work
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import Trial
from contragrad.jobs import workers
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.choices import ExecutorName

GENOME = "conv(16,3) pool(max,2) conv(32,3) sum(2,3) fc(64)"
MESSAGES = 300


def seconds_of(executor: Executor, count: int) -> float:
    """Seconds for the evaluations by workers that have begun."""
    # The first task of each worker loads what its tasks share.
    run_tasks(
        [(f"warm {place}", Trial(parse("conv(4,1) fc(4)"), 1, place)) for place in range(2)],
        executor=executor,
    )
    begun = time.perf_counter()
    results = run_tasks(
        [(f"task {place}", Trial(parse(GENOME), 1, place)) for place in range(count)], executor=executor
    )
    seconds = time.perf_counter() - begun
    assert all("clean_accuracy" in result for result in results.values()), results
    return seconds


def talkative(argument: None) -> Perform:
    """A setup whose task only reports."""

    def perform(task: int, report: object) -> dict[str, int]:
        for number in range(task):
            report({"number": number})  # type: ignore[operator]
        return {"told": task}

    return perform  # type: ignore[return-value]


def message_seconds() -> float:
    work = Work("ray_workers:talkative", None)
    with closing(RayExecutor(work=work, workers=1, threads=1)) as executor:
        run_tasks([("warm", 1)], executor=executor)
        begun = time.perf_counter()
        run_tasks([("told", MESSAGES)], executor=executor)
        return (time.perf_counter() - begun) / MESSAGES


def main() -> None:
    """Prints the figures."""
    parser = options(__doc__, repeats=3)
    parser.add_argument("--evaluations", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent, connected("local", 2):
        workspace: Workspace = prepared(Path(parent) / "run", ("--reference.epochs=1",))
        found: dict[ExecutorName, list[float]] = {"local": [], "ray": []}
        for _ in range(chosen.repeats):
            for name, times in found.items():
                config = replace(workspace.config, executor=name, workers=2)
                with workers.executor_of(replace(workspace, config=config)) as executor:
                    times.append(seconds_of(executor, chosen.evaluations))
        message = message_seconds()
    rows = [
        {"workers": name, "least seconds": min(times), "most": max(times)} for name, times in found.items()
    ]
    summary = {"ray_time": min(found["ray"]) / min(found["local"]), "messages_ms": 1e3 * message}
    publish("ray_workers", rows, summary, as_json=chosen.json)


if __name__ == "__main__":
    main()
