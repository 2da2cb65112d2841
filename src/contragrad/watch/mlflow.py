"""A study as a run of MLflow: settings, the search's curves, the table; where the user says, nowhere else.

RUN/mlflow.json says which run that is, so that a resumed study goes on with it. Steps that it has are not
logged again.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contragrad.engine.study import Told
from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.run_folder.workspace import CONFIGURATION, TABLE
from contragrad.settings import config_file
from contragrad.watch.events import Event, Opened, Results, Watcher
from contragrad.watch.places import place, public
from contragrad.watch.scalars import scalars

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.json"
EXPERIMENT = "contragrad"
NEWEST = "fitness/best"
"""The metric that every step has."""

MANNERS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Environment of its client unless the user has another.

It takes a folder, which it is shy of; it calls nobody but the server, and does not wait for one that is gone.
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of MLflow.

    Args:
        client: of the server, database or folder that it is in.
        name: MLflow's own.
        folder: the study's.
        behind: the last step that it had when this session began.
    """

    client: "MlflowClient"
    name: str
    folder: Path
    behind: int = 0

    def told(self, told: Told) -> None:
        """Logs the search's curves, unless an earlier session has."""
        from mlflow.entities import Metric

        step, now = told.after.step, int(1000 * time.time())
        if step > self.behind:
            metrics = [Metric(name, value, now, step) for name, value in scalars(told).items()]
            self.client.log_batch(self.name, metrics=metrics)

    def finished(self) -> None:
        """Keeps the table, and ends the run, whether the table can be kept or not."""
        try:
            self.client.log_artifact(self.name, str(self.folder / TABLE))
        finally:
            self.client.set_terminated(self.name, "FINISHED")


@contextmanager
def mlflow(uri: str) -> Iterator[Watcher]:
    """Logs to a tracking server, database or folder; a study that it was not told to its end is marked so.

    Raises:
        UserError: if MLflow knows no such place; a server is not called before there is something to log.
    """
    client = _client(uri)
    run: _Run | None = None

    def watch(event: Event) -> None:
        nonlocal run
        match event:
            case Opened():
                if run is not None:  # a round of co-evolution, which has no table, and is over
                    ending, run = run, None
                    client.set_terminated(ending.name, "FINISHED")
                run = _resumed(client, uri, event) or _begun(client, uri, event)
            case Told() if run is not None:
                run.told(event)
            case Results() if run is not None:
                ending, run = run, None
                ending.finished()
            case _:
                pass

    status = "FAILED"
    try:
        yield watch
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if run is not None:
            # What went wrong with the study matters more than whether it can be noted here.
            with suppress(Exception):
                client.set_terminated(run.name, status)


def _client(uri: str) -> "MlflowClient":
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        raise UserError(
            f"MLflow cannot log there: {public(str(error))}",
            where=f"--mlflow {public(uri)}",
            remedy="a server (http://...) or a folder; with all of mlflow installed, sqlite:///FILE too",
        ) from error


def _resumed(client: "MlflowClient", uri: str, event: Opened) -> _Run | None:
    """The run that the study has there already.

    Raises:
        UserError: if the note of it cannot be read.
    """
    note = event.folder / NOTE
    if not note.is_file():
        return None
    what, remedy = "the note of the run in MLflow cannot be read", "remove it, and a new run begins"
    try:
        known = from_json(read_text(note, LONGEST_JSON, what, remedy))
        there, name = str(known["place"]), str(known["run"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(what, where=str(note), remedy=remedy) from error
    if there != place(uri):
        return None
    client.update_run(name, status="RUNNING")
    client.log_artifact(name, str(event.folder / CONFIGURATION))
    steps = [metric.step for metric in client.get_metric_history(name, NEWEST)]
    return _Run(client, name, event.folder, max(steps, default=0))


def _begun(client: "MlflowClient", uri: str, event: Opened) -> _Run:
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name(EXPERIMENT)
    number = client.create_experiment(EXPERIMENT) if experiment is None else experiment.experiment_id
    name = client.create_run(number, run_name=event.folder.name).info.run_id
    settings = config_file.dotted(event.config)
    client.log_batch(name, params=[Param(key, str(value)) for key, value in settings.items()])
    client.log_artifact(name, str(event.folder / CONFIGURATION))
    write_text(event.folder / NOTE, json.dumps({"place": place(uri), "run": name}) + "\n")
    return _Run(client, name, event.folder)
