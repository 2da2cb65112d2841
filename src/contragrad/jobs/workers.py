"""Who does a study's tasks: processes here, or workers on a Ray cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from contragrad import extras
from contragrad.engine import executors
from contragrad.engine.work import Work
from contragrad.jobs import tasks
from contragrad.machine.control_groups import usable_cores
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import StudyConfig


def worker_count(workspace: Workspace) -> int:
    """Worker processes: as many as the settings say, or one for each usable core, or for an accelerator."""
    if workspace.config.workers:
        return workspace.config.workers
    return max(1, int(usable_cores())) if workspace.device.type == "cpu" else 1


def require_cluster(config: StudyConfig) -> None:
    """Checks that the cluster of the settings, if they say one, can be reached.

    Raises:
        UserError: if it cannot, or Ray is not installed.
    """
    if config.executor == "local":
        return
    extras.require(["ray"], "ray", job="--executor ray", where="executor")
    from contragrad.engine.ray_cluster import require_reachable

    require_reachable(config.address)


@contextmanager
def cluster_of(config: StudyConfig) -> Iterator[None]:
    """A block that is connected to the cluster of the settings, if they say one."""
    if config.executor == "local":
        yield
        return
    from contragrad.engine.ray_cluster import connected

    with connected(config.address, config.workers):
        yield


@contextmanager
def executor_of(workspace: Workspace) -> Iterator[executors.Executor]:
    """Workers for the workspace's tasks, here or on a Ray cluster, stopped when the block ends.

    Raises:
        UserError: if there is no such cluster.
    """
    config, work = workspace.config, Work(setup="contragrad.jobs.tasks:prepare", argument=workspace)
    with ExitStack() as stack:
        executor: executors.Executor
        if config.executor == "ray":
            from contragrad.engine.ray_executor import RayExecutor
            from contragrad.engine.ray_files import Files

            stack.enter_context(cluster_of(config))
            executor = RayExecutor(
                work=work,
                workers=config.workers,
                threads=1,
                gpus=config.worker_gpus,
                files=Files(
                    folder=workspace.folder,
                    mark="artefacts/.ray.tmp",
                    reads=partial(tasks.reads, workspace=workspace),
                    makes=partial(tasks.makes, workspace=workspace),
                ),
                grows=config.address != "local",
            )
        else:
            executor = executors.Processes(work, workers=worker_count(workspace), threads=1)
        stack.callback(executor.close)
        yield executor
