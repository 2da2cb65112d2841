"""A study as a run of MLflow, which stands in most tests for itself: it is large."""

import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from contragrad import evaluate
from contragrad.engine.memo import DictMemo
from contragrad.errors import UserError
from contragrad.outside import LONGEST_JSON
from contragrad.run_folder.workspace import CONFIGURATION, TABLE
from contragrad.settings import config_file
from contragrad.watch.events import Opened
from contragrad.watch.mlflow import MANNERS, mlflow
from contragrad.watch.watching import watching
from watched import CONFIG, ROWS, TOTAL, KilledError, Rehearsal, rehearse


class Metric(NamedTuple):
    """MLflow's."""

    key: str
    value: float
    timestamp: int
    step: int


class Param(NamedTuple):
    """MLflow's."""

    key: str
    value: str


class MlflowError(Exception):
    """MLflow's."""


@dataclass
class Run:
    """What a server knows of a run."""

    name: str
    status: str = "RUNNING"
    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """Stands for an MLflow server and for its client; fails after so many calls."""

    runs: dict[str, Run] = field(default_factory=dict)
    experiments: list[str] = field(default_factory=list)
    calls_left: int = 10_000
    refusal: str = "the server is gone"

    def __call__(self, tracking_uri: str) -> "Server":
        if tracking_uri.startswith("nowhere"):
            raise MlflowError(f"unsupported URI {tracking_uri}")
        return self

    def called(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise ConnectionError(self.refusal)

    def get_experiment_by_name(self, name: str) -> Any:
        self.called()
        return SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        self.called()
        self.experiments.append(name)
        return name

    def create_run(self, experiment: str, run_name: str) -> Any:
        self.called()
        assert experiment in self.experiments
        key = str(len(self.runs))
        self.runs[key] = Run(run_name)
        return SimpleNamespace(info=SimpleNamespace(run_id=key))

    def update_run(self, key: str, status: str) -> None:
        self.called()
        self.runs[key].status = status

    def log_batch(self, key: str, metrics: list[Metric] = [], params: list[Param] = []) -> None:  # noqa: B006
        self.called()
        self.runs[key].metrics += metrics
        self.runs[key].params |= {param.key: param.value for param in params}

    def log_artifact(self, key: str, path: str) -> None:
        self.called()
        self.runs[key].artifacts[Path(path).name] = Path(path).read_text()

    def get_metric_history(self, key: str, name: str) -> list[Metric]:
        self.called()
        return [metric for metric in self.runs[key].metrics if metric.key == name]

    def set_terminated(self, key: str, status: str) -> None:
        self.called()
        self.runs[key].status = status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server where the real library would be."""
    found = Server()
    parts: dict[str, dict[str, Any]] = {
        "mlflow": {"MlflowClient": found},
        "mlflow.entities": {"Metric": Metric, "Param": Param},
        "mlflow.exceptions": {"MlflowException": MlflowError},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    for name in MANNERS:
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "run"
    found.mkdir()
    config_file.write(CONFIG, found / CONFIGURATION)
    evaluate.write(ROWS, found / TABLE)
    return found


def session(folder: Path, memo: DictMemo, waits: int | None = None, uri: str = "there") -> None:
    """A session of a study, killed after so many epochs."""
    with suppress(KilledError), mlflow(uri) as watch:
        rehearse(folder, watch, memo, Rehearsal(slots=2, waits=waits))


def test_a_study_is_a_run(server: Server, folder: Path) -> None:
    session(folder, DictMemo())
    assert server.experiments == ["contragrad"]
    (run,) = server.runs.values()
    assert run.name == "run"
    assert run.status == "FINISHED"
    assert run.params["search.generations"] == "3"
    assert set(run.params) == set(config_file.dotted(CONFIG))
    assert run.artifacts[TABLE] == (folder / TABLE).read_text()
    assert run.artifacts[CONFIGURATION] == (folder / CONFIGURATION).read_text()
    assert [metric.step for metric in run.metrics if metric.key == "fitness/best"] == list(
        range(1, TOTAL + 1)
    )


@pytest.mark.parametrize("waits", [(1,), (5, 9), (8, 0, 3)], ids=str)
def test_a_resumed_study_goes_on_in_its_run_and_logs_no_step_twice(
    waits: tuple[int, ...], server: Server, folder: Path
) -> None:
    memo = DictMemo()
    for count in waits:
        session(folder, memo, count)
        assert [run.status for run in server.runs.values()] == ["FAILED"]
    session(folder, memo)
    (run,) = server.runs.values()
    assert run.status == "FINISHED"
    points = [(metric.key, metric.step) for metric in run.metrics]
    assert len(points) == len(set(points))
    assert {step for key, step in points if key == "fitness/mean"} == set(range(1, TOTAL + 1))


def test_another_place_gets_a_run_of_its_own(server: Server, folder: Path) -> None:
    memo = DictMemo()
    session(folder, memo, 5)
    session(folder, memo, uri="elsewhere")
    first, second = server.runs.values()
    assert len(first.metrics) < len(second.metrics)
    assert json.loads((folder / "mlflow.json").read_text()) == {
        "place": str(Path("elsewhere").resolve()),
        "run": "1",
    }


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"place": "a", "run": "1", "run": "2"}', '{"place": "' + "a" * LONGEST_JSON + '"}']
)
def test_a_note_of_a_run_that_is_none_is_named(text: str, server: Server, folder: Path) -> None:
    (folder / "mlflow.json").write_text(text)
    with mlflow("there") as watch, pytest.raises(UserError, match="cannot be read") as caught:
        watch(Opened(folder, CONFIG))
    assert caught.value.where == str(folder / "mlflow.json")


@pytest.mark.parametrize("scheme", ["", "file:", "sqlite:///"], ids=["a path", "a file URI", "a database"])
def test_a_place_is_the_same_from_another_folder(
    scheme: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memo = DictMemo()
    monkeypatch.chdir(folder.parent)
    session(folder, memo, 5, uri=f"{scheme}logs")
    monkeypatch.chdir(folder)
    session(folder, memo, uri=f"{scheme}../logs")
    assert [run.status for run in server.runs.values()] == ["FINISHED"]


def test_a_user_and_a_password_are_neither_kept_nor_printed(
    server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memo = DictMemo()
    session(folder, memo, 5, uri="https://me:secret@example.org/logs")
    assert json.loads((folder / "mlflow.json").read_text())["place"] == "https://example.org/logs"
    server.refusal = "no answer from https://you:other@example.org/logs"
    server.calls_left = 5
    with watching(Console(stderr=True, width=200), mlflow="https://you:other@example.org/logs") as watch:
        rehearse(folder, watch, memo)
    said = capsys.readouterr().err
    assert "--mlflow is left out from here on: no answer from https://example.org/logs" in said
    assert "other" not in said
    assert len(server.runs) == 1


@pytest.mark.parametrize("lost", ["log_artifact", "log_batch"])
def test_a_run_ends_though_it_could_not_be_told_everything(
    lost: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(server, lost)

    def refuses(key: str, path: str = "", **rest: Any) -> None:
        if path.endswith(TABLE) or "metrics" in rest:
            raise ConnectionError("no room")
        real(key, path, **rest) if path else real(key, **rest)

    monkeypatch.setattr(server, lost, refuses)
    with watching(Console(stderr=True, width=200), mlflow="there") as watch:
        rehearse(folder, watch)
    assert [run.status for run in server.runs.values()] == [
        "FINISHED" if lost == "log_artifact" else "FAILED"
    ]


def test_ctrl_c_marks_the_run(server: Server, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), mlflow("there") as watch:
        rehearse(folder, watch, Interrupting())
    assert [run.status for run in server.runs.values()] == ["KILLED"]


class Interrupting(DictMemo):
    """A memo during which somebody presses Ctrl-C."""

    def put(self, record: Any) -> Any:
        raise KeyboardInterrupt


@pytest.mark.parametrize("calls", [0, 1, 4, 9, 20])
def test_a_server_that_is_gone_is_told_once_and_stops_nothing(
    calls: int, server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.calls_left = calls
    with watching(Console(stderr=True, width=200), mlflow="there") as watch:
        assert rehearse(folder, watch).finished
    said = capsys.readouterr().err
    assert said.count("--mlflow is left out from here on: the server is gone") == 1
    assert f"[{TOTAL}/{TOTAL}]" in said


def test_a_place_that_mlflow_does_not_know_is_refused_before_the_work(server: Server) -> None:
    uri = "nowhere://me:secret@example.org"
    with pytest.raises(UserError, match="URI nowhere://example") as caught, mlflow(uri):
        pass
    assert caught.value.where == "--mlflow nowhere://example.org"


def test_a_round_of_co_evolution_is_over_when_the_next_is_opened(server: Server, tmp_path: Path) -> None:
    folders = [tmp_path / f"round-{number}" for number in (1, 2, 3)]
    with suppress(KilledError), mlflow("http://there") as watch:
        for folder in folders:
            folder.mkdir()
            config_file.write(CONFIG, folder / CONFIGURATION)
            watch(Opened(folder, CONFIG))
            assert [run.status for run in server.runs.values()][-1] == "RUNNING"
        raise KilledError
    assert [(run.name, run.status) for run in server.runs.values()] == [
        ("round-1", "FINISHED"),
        ("round-2", "FINISHED"),
        ("round-3", "FAILED"),
    ]


def test_the_client_calls_nobody_else_unless_the_user_wants_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    with mlflow("there"):
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_real_one_keeps_a_killed_and_resumed_study(folder: Path) -> None:
    from mlflow import MlflowClient

    place, memo = str(folder.parent / "mlruns"), DictMemo()
    for waits in (8, None):
        session(folder, memo, waits, uri=place)
    client = MlflowClient(tracking_uri=place)
    run = client.get_run(json.loads((folder / "mlflow.json").read_text())["run"])
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "5"
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "fitness/best")]
    assert steps == list(range(1, TOTAL + 1))
    kept = client.download_artifacts(run.info.run_id, TABLE, str(folder.parent))
    assert Path(kept).read_text() == (folder / TABLE).read_text()
