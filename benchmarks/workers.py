"""What a second worker brings, and what the driver costs, on real evaluations of reduced Fashion-MNIST.

    python benchmarks/workers.py --json

- speedup_2_workers: the same evaluations by two workers over one, one thread each;
- orchestration_share: the driver's time for an evaluation (sending, hearing, storing), with one worker,
  over 30 seconds, which is a short evaluation.
"""

import tempfile
import time
from pathlib import Path

from prepared import prepared
from timing import options, publish

from contragrad.engine.executors import Finished, Processes
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.study import run_tasks
from contragrad.engine.work import Work
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import Trial
from contragrad.run_folder.workspace import DATABASE, Workspace

GENOME = "conv(16,3) pool(max,2) conv(32,3) sum(2,3) fc(64)"


def evaluate(workspace: Workspace, workers: int, count: int) -> tuple[float, float]:
    """Seconds for the evaluations, and the part of them that no worker was evaluating."""
    work = Work(setup="contragrad.jobs.tasks:prepare", argument=workspace)
    executor = Processes(work, workers=workers, threads=1)
    inside = []
    try:
        # The first task of each worker loads what its tasks share.
        warm = [(f"warm {place}", Trial(parse("conv(4,1) fc(4)"), 1, place)) for place in range(workers)]
        run_tasks(warm, executor=executor)
        tasks = [(f"task {place}", Trial(parse(GENOME), 1, place)) for place in range(count)]
        begun = time.perf_counter()
        results = run_tasks(
            tasks,
            executor=executor,
            on_event=lambda event: inside.append(event.seconds) if isinstance(event, Finished) else None,
        )
        seconds = time.perf_counter() - begun
        assert all("clean_accuracy" in result for result in results.values()), results
    finally:
        executor.close()
    return seconds, seconds - sum(inside) / workers


def main() -> None:
    """Prints the figures."""
    parser = options(__doc__, repeats=3)
    parser.add_argument("--evaluations", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        workspace = prepared(Path(parent) / "run", ("--reference.epochs=1",))
        found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(chosen.repeats):
            for workers, seconds in found.items():
                seconds.append(evaluate(workspace, workers, chosen.evaluations))
        with SqliteMemo(workspace.folder / DATABASE) as memo:
            begun = time.perf_counter()
            for place in range(100):
                memo.set_meta(f"timing {place}", "x" * 500)
            storing = (time.perf_counter() - begun) / 100
    best = {workers: min(seconds) for workers, seconds in found.items()}
    # A loop of one worker writes an outcome and a note for each evaluation.
    outside = best[1][1] / chosen.evaluations + 2 * storing
    rows = [
        {"workers": workers, "seconds": seconds, "outside ms an evaluation": 1e3 * idle / chosen.evaluations}
        for workers, (seconds, idle) in best.items()
    ]
    summary = {"speedup_2_workers": best[1][0] / best[2][0], "orchestration_share": outside / 30}
    publish("workers", rows, summary, as_json=chosen.json)


if __name__ == "__main__":
    main()
