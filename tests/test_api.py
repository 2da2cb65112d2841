"""The words of the command line as functions: the same jobs, quiet, and torch only when they are called."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import contragrad
import exports
import found
from contragrad import api
from contragrad.audit import command
from contragrad.cli import main
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.export import job
from contragrad.jobs import run
from contragrad.results import Study
from contragrad.settings import config_file
from contragrad.settings.config import AttackSettings, StudyConfig
from contragrad.watch.events import Stage

WORDS = ("audit", "evolve", "export", "load", "resume")

ROWS = (
    Row(
        name="reference",
        clean_accuracy=0.875,
        adversarial_accuracy=0,
        clean_interval=(0.853, 0.894),
        adversarial_interval=(0, 0.004),
        parameters=1234,
        images=1000,
        architecture="conv(4,3) fc(4)",
    ),
)

SMALL = {
    "data": {"source": "digits"},
    "reference": {"epochs": 2},
    "attack": {"epsilon": "32/255", "steps": 2},
    "search": {
        "population": 2,
        "children": 1,
        "generations": 1,
        "epochs": 1,
        "minimum_distance": 1,
        "channels": [8],
        "kernels": [3],
        "hidden": 16,
        "initial_blocks_max": 3,
    },
    "refine": {"networks": 1, "epochs": 1},
    "workers": 1,
}


# The package.


def ran(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_loads_no_torch_until_a_network_is_loaded() -> None:
    ran(
        "import sys, contragrad\n"
        "assert 'load' in dir(contragrad)\n"
        "assert 'torch' not in sys.modules and 'rich' not in sys.modules\n"
        "contragrad.load\n"
        "assert 'torch' in sys.modules"
    )


def test_what_is_there_is_named() -> None:
    assert contragrad.__all__ == ["load"]
    assert contragrad.load is api.load
    assert set(WORDS) <= set(api.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = contragrad.nothing  # type: ignore[attr-defined]


def test_the_stub_says_what_the_function_takes() -> None:
    stub = Path(contragrad.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    (function,) = (node for node in ast.parse(stub).body if isinstance(node, ast.FunctionDef))
    named = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    assert named == list(inspect.signature(api.load).parameters)


def test_every_option_of_the_command_line_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are for a terminal alone are not."""
    for word in ("audit", "export"):
        with pytest.raises(SystemExit):
            main([word, "--help"])
        said = capsys.readouterr().out
        options = {line.split()[0] for line in said.splitlines() if line.startswith("  --")}
        options = {option.strip("-,").replace("-", "_") for option in options} - {"json", "best"}
        assert options
        assert options <= set(inspect.signature(getattr(api, word)).parameters)


# The jobs.


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the job of a study was called with; it tells something and gives a table."""
    calls: list[Any] = []

    def job_of(*arguments: Any) -> tuple[Row, ...]:
        *given, watch = arguments
        watch(Stage("begun"))
        calls.extend(given)
        return ROWS

    monkeypatch.setattr(run, "create", job_of)
    monkeypatch.setattr(run, "resume", job_of)
    return calls


def test_evolve_takes_what_the_command_takes(tmp_path: Path, called: list[Any]) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    settings = {"search.generations": 7, "attack.epsilon": Fraction(1, 4), "search.kernels": (1, 3)}
    words = ["--search.generations=7", "--attack.epsilon", "1/4", "--search.kernels", "[1, 3]"]
    study = api.evolve(path, out=str(tmp_path / "run"), settings=settings)
    assert called == [config_file.read(path, words), tmp_path / "run"]
    assert study == Study(tmp_path / "run", ROWS)


HALF = AttackSettings(epsilon=Fraction(1, 2))


@pytest.mark.parametrize(
    ("config", "settings", "expected"),
    [
        (None, None, StudyConfig()),
        (None, {"seed": 3}, StudyConfig(seed=3)),
        (StudyConfig(seed=3), None, StudyConfig(seed=3)),
        (StudyConfig(attack=AttackSettings(epsilon=0.5)), None, StudyConfig(attack=HALF)),  # type: ignore[arg-type]
        (
            None,
            {"data.download": True},
            replace(StudyConfig(), data=replace(StudyConfig().data, download=True)),
        ),
        (None, {"attack.step_size": None}, StudyConfig()),
        (None, {"seed": np.int64(3)}, StudyConfig(seed=3)),
        (
            None,
            {"search.kernels": np.array([1, 3])},
            replace(StudyConfig(), search=replace(StudyConfig().search, kernels=(1, 3))),
        ),
    ],
)
def test_settings_are_a_file_or_values(
    config: Any, settings: Any, expected: StudyConfig, called: list[Any]
) -> None:
    study = api.evolve(config, settings=settings)
    assert called == [expected, study.folder]
    assert study.folder.parent == Path("runs")


def test_what_is_no_setting_is_named(called: list[Any]) -> None:
    with pytest.raises(UserError, match="a StudyConfig is no setting"):
        api.evolve(settings={"data": StudyConfig()})
    assert not called


def test_the_home_folder_is_known_by_its_sign(
    tmp_path: Path, called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "study.yaml").write_text("seed: 3")
    calls: list[Any] = []

    def audit(given: str, **options: Any) -> Any:
        calls.append(given)
        return found.sound(), Path(given)

    monkeypatch.setattr(command, "audit", audit)
    monkeypatch.setattr(job, "export", lambda folder, **_: calls.append(folder))
    assert api.evolve("~/study.yaml", out="~/run").folder == tmp_path / "run"
    assert api.resume("~/run").folder == tmp_path / "run"
    api.audit("~/run")
    api.export("~/run")
    assert called == [StudyConfig(seed=3), *[tmp_path / "run"] * 2, []]
    assert calls == [str(tmp_path / "run"), tmp_path / "run"]


def test_settings_are_not_given_twice(called: list[Any]) -> None:
    with pytest.raises(UserError, match="holds all"):
        api.evolve(StudyConfig(), settings={"seed": 3})
    assert not called


def test_resume_takes_what_the_command_takes(called: list[Any]) -> None:
    study = api.resume("run", settings={"workers": 2})
    assert called == [Path("run"), ["--workers=2"]]
    assert study == Study(Path("run"), ROWS)


@pytest.mark.parametrize("word", [api.evolve, api.resume])
def test_a_job_is_quiet_unless_it_is_asked(
    word: Callable[..., Any], called: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    given = "run" if word is api.resume else None
    word(given)
    assert capsys.readouterr() == ("", "")
    word(given, progress=True)
    out, err = capsys.readouterr()
    assert not out
    assert "begun" in err


@pytest.mark.parametrize("word", [api.evolve, api.resume, api.audit])
def test_what_trains_in_this_process_keeps_freed_memory(
    word: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command line and the workers do, before anything is taken."""
    calls: list[str] = []

    def interrupted(*given: Any, **options: Any) -> Any:
        calls.append("worked")
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "keep_freed_memory", lambda: calls.append("kept"))
    for module, job_of in ((run, "create"), (run, "resume"), (command, "audit")):
        monkeypatch.setattr(module, job_of, interrupted)
    with pytest.raises(KeyboardInterrupt):
        word(*([] if word is api.evolve else ["run"]))
    assert calls == ["kept", "worked"]


def test_a_study_is_printed_as_its_table(called: list[Any]) -> None:
    assert "87.5 % [85.3, 89.4]" in str(api.resume("run"))


def test_audit_takes_what_the_command_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def audit(given: str, **options: Any) -> Any:
        calls.append((given, options))
        return found.sound(), Path("card")

    monkeypatch.setattr(command, "audit", audit)
    audited = api.audit(
        Path("mine.onnx"),
        config="study.yaml",
        out="run",
        recipe_known=True,
        settings={"seed": 1},
        budget=5,
        epsilon=Fraction(1, 16),
    )
    ((given, options),) = calls
    del options["watch"]
    assert given == "mine.onnx"
    assert options == {
        "network": None,
        "weights": None,
        "study_file": Path("study.yaml"),
        "out": Path("run"),
        "recipe_known": True,
        "overrides": ["--seed=1"],
        "settings": {"minutes": 5, "epsilon": "1/16"},
    }
    assert audited.folder == Path("card")
    assert audited.verdict == audited.card["verdict"]
    assert audited.verdict in " ".join(str(audited).split())
    assert "tensor" not in repr(audited)


def test_export_and_load_are_the_commands(tmp_path: Path) -> None:
    workspace = exports.ended_run(tmp_path / "run")
    exported = api.export(str(workspace.folder), format="python", out=str(tmp_path / "net.py"))
    assert exported.path == tmp_path / "net.py"
    assert [path.name for path in exported.files] == ["net.py", "net.safetensors", "net.py.md"]
    assert all(path.is_file() for path in exported.files)
    assert exported.agreement is not None
    assert exported.agreement.equal == 1
    with pytest.raises(UserError, match="no format tflite"):
        api.export(workspace.folder, format="tflite")  # type: ignore[arg-type]
    assert api.export(workspace.folder) == job.export(workspace.folder, force=True)


@pytest.mark.slow
def test_a_script_of_a_few_lines_evolves_and_exports(tmp_path: Path) -> None:
    """Without a guard against the workers' running it again."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SMALL))
    script = tmp_path / "script.py"
    script.write_text(
        "from contragrad import api\n"
        "study = api.evolve('study.yaml', out='run')\n"
        "api.export(study.folder)\n"
        "print(api.load('run/export/NE-GM-1.safetensors').training, study, sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert not done.stderr
    assert done.stdout.startswith("False\ntransfer resistance from the reference")
    assert "NE+GM 1" in done.stdout
