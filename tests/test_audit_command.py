"""`contragrad audit` up to its first training: what is meant, what goes together, what is refused at once."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contragrad import extras
from contragrad.audit import asked, command, model
from contragrad.audit.asked import is_run
from contragrad.audit.settings import AuditSettings
from contragrad.cli import main
from contragrad.data.dataset import Dataset
from contragrad.data.sources import load
from contragrad.engine import study
from contragrad.engine.executors import InProcess
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution.search import start
from contragrad.jobs import entry, full_trainings, run
from contragrad.run_folder.notes import note_origin
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE
from contragrad.settings import config_file
from contragrad.settings.config import AttackSettings, DataSettings, RefineSettings, StudyConfig
from contragrad.watch.events import nobody
from strategies import small_settings

SEARCH = small_settings(population=2, children=1, generations=1)
CONFIG = StudyConfig(search=SEARCH, refine=RefineSettings(networks=1), device="cpu")


class ReachedError(Exception):
    """The audit has come so far that it would train a reference."""


def _reached(*_: object) -> None:
    raise ReachedError


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here trains anything."""
    monkeypatch.setattr(run, "opened", _reached)


@pytest.fixture
def data(tmp_path: Path) -> DataSettings:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    labels = np.arange(40) % 4
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return DataSettings(source="npz", path=str(tmp_path / "data.npz"))


@pytest.fixture
def begun(tmp_path: Path, data: DataSettings) -> Path:
    """A run folder as it is before the first evaluation has ended."""
    folder = tmp_path / "run [x]"
    folder.mkdir()
    config_file.write(replace(CONFIG, data=data), folder / CONFIGURATION)
    return folder


@pytest.fixture
def ended(begun: Path) -> Path:
    """A run folder whose search has ended, with outcomes that are made up and no weights."""
    config = config_file.read(begun / CONFIGURATION)
    _, workspace = entry.open_data(config, begun)
    state = start(config.search, workspace.problem, config.seed)
    toys = InProcess(Work("performers:toys", None))
    with closing(toys) as executor, SqliteMemo(begun / DATABASE) as memo:
        note_origin(memo, workspace)
        study.run(
            state,
            memo=memo,
            executor=executor,
            key_of=workspace.evaluation_name,
            on_event=lambda event: None,
        )
    return begun


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file; nobody here looks into it."""
    (path := tmp_path / "weights.safetensors").touch()
    return path


def audited(given: str, **changes: Any) -> None:
    options: dict[str, Any] = {
        "network": None,
        "weights": None,
        "study_file": None,
        "out": None,
        "overrides": (),
        "settings": {},
    }
    command.audit(given, **(options | changes), watch=nobody)


def exits(words: Sequence[str | Path]) -> int:
    """The exit code, whether the command returns it or argparse exits with it."""
    try:
        return main([str(word) for word in words])
    except SystemExit as left:
        return int(left.code or 0)


# What is meant.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("folder", True),
        ("folder:with colon", True),
        ("folder.onnx", True),
        ("nowhere", True),
        ("runs/nowhere", True),
        (".", True),
        ("file.onnx", False),
        ("nowhere.onnx", False),
        ("package.module:function", False),
        ("torchvision.models:resnet18", False),
    ],
)
def test_a_run_is_a_folder_or_what_is_neither_a_factory_nor_an_onnx_file(
    given: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder:with colon", "folder.onnx"):
        Path(name).mkdir()
    Path("file.onnx").touch()
    assert is_run(given) is expected


# What goes with which.


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"weights": Path("x.safetensors")}, "--weights"),
        ({"study_file": Path("study.yaml")}, "--config"),
        ({"out": Path("x")}, "--out"),
        ({"overrides": ["--seed", "3"]}, "--seed 3"),
    ],
)
def test_a_run_has_its_settings_data_and_weights(begun: Path, changes: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError, match="does not go with such a target") as caught:
        audited(str(begun), **changes)
    assert caught.value.where == where
    assert caught.value.remedy == "leave it out: a run has its settings, data and weights"


@pytest.mark.parametrize("given", ["mine.onnx", "package.module:function"])
def test_a_model_has_one_network_and_needs_a_folder(given: str) -> None:
    with pytest.raises(UserError, match="does not go with such a target") as caught:
        audited(given, network="NE+GM 1", out=Path("x"))
    assert caught.value.where == "--network"
    with pytest.raises(UserError, match="no folder") as caught:
        audited(given)
    assert caught.value.where == "--out"


@pytest.mark.parametrize("there", [False, True])
def test_a_factory_needs_weights_that_are_there(there: bool, tmp_path: Path) -> None:
    lost = tmp_path / "lost.safetensors"
    with pytest.raises(UserError, match="no such file" if there else "has no weights") as caught:
        audited("package.module:function", out=tmp_path / "x", weights=lost if there else None)
    assert caught.value.where == (f"--weights: {lost}" if there else "--weights")
    assert not (tmp_path / "x").exists()


def test_an_onnx_file_must_be_there_and_has_its_weights(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UserError, match="no such file") as caught:
        audited(str(tmp_path / "lost.onnx"), out=tmp_path / "x")
    assert caught.value.where == str(tmp_path / "lost.onnx")
    (tmp_path / "mine.onnx").touch()
    with pytest.raises(UserError, match="holds its weights") as caught:
        audited(str(tmp_path / "mine.onnx"), out=tmp_path / "x", weights=weights)
    assert caught.value.where == "--weights"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("named", "missing"),
    [
        ([], "--data"),
        (["--data", "d.npz"], "--reference"),
        (["--reference.architecture=resnet18"], "--data"),
    ],
)
def test_no_reference_is_trained_that_nobody_named_nor_on_images_that_nobody_did(
    named: list[str], missing: str, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = weights.parent / "nowhere"
    said = told(["package.module:make", "--weights", weights, "--out", out, *named], capsys)
    assert f"at: {missing}\n" in said
    assert not out.exists()


def test_a_reference_is_not_trained_for_longer_than_the_audit_may_take(
    data: DataSettings, tmp_path: Path
) -> None:
    words = [*asked.of_model(data.path, "hand-engineered-a", None), "--device=cpu"]

    def _require_time(config: StudyConfig, minutes: float) -> None:
        dataset, workspace = entry.open_data(config, tmp_path / "run")
        command._require_time(workspace, dataset, minutes)

    config = config_file.read(None, [*words, "--reference.epochs=100000"])
    with pytest.raises(UserError, match="to train the reference takes about") as caught:
        _require_time(config, 0.5)
    assert caught.value.where == "--budget"
    assert not (tmp_path / "run").exists()
    _require_time(config_file.read(None, [*words, "--reference.epochs=1"]), 60)
    # One that has no gradients is timed too; that it is none is said elsewhere.
    blind = [*asked.of_model(data.path, "anyones:Blinded", None), "--device=cpu"]
    with pytest.raises(UserError, match="to train the reference takes about"):
        _require_time(config_file.read(None, [*blind, "--reference.epochs=100000000"]), 1e-4)


def test_files_of_other_kinds_are_no_models_and_no_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.safetensors").touch()
    said = told([tmp_path / "net.safetensors", "--out", tmp_path / "x", "--data", "d.npz"], capsys)
    assert "such a file cannot be audited" in said


def test_a_models_images_are_a_file_or_a_folder(tmp_path: Path) -> None:
    assert asked.of_model(str(tmp_path), None, None) == [
        "--data.source=image-folder",
        f"--data.path={tmp_path}",
    ]
    assert asked.of_model(str(tmp_path / "x.npz"), "vgg16_bn", None) == [
        "--data.source=npz",
        f"--data.path={tmp_path / 'x.npz'}",
        "--reference.architecture=vgg16_bn",
    ]
    assert asked.of_model(None, None, None) == []


def test_what_goes_together_is_taken(
    begun: Path, data: DataSettings, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "of_file", lambda *what: None)
    (begun.parent / "mine.onnx").touch()
    own = [*asked.of_model(data.path, "hand-engineered-a", None), "--device=cpu"]
    cases: list[tuple[str, dict[str, Any]]] = [
        (str(begun.parent / "mine.onnx"), {"overrides": own}),
        ("package.module:function", {"overrides": own, "weights": weights}),
        ("package.module:function", {"study_file": begun / CONFIGURATION, "weights": weights}),
    ]
    for number, (given, options) in enumerate(cases):
        with pytest.raises(ReachedError):
            audited(given, out=begun.parent / f"out {number}", **options)


def test_the_images_are_read_once(
    begun: Path, data: DataSettings, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "of_file", lambda *what: None)
    loads: list[object] = []

    def counted(*what: Any) -> Dataset:
        loads.append(what)
        return load(*what)

    monkeypatch.setattr(entry, "load", counted)
    own = [*asked.of_model(data.path, "hand-engineered-a", None), "--device=cpu"]
    with pytest.raises(ReachedError):
        audited("package.module:function", out=begun.parent / "out", overrides=own, weights=weights)
    with pytest.raises(ReachedError):
        audited(str(begun), network="reference")
    assert len(loads) == 2


def test_a_model_is_opened_before_a_reference_is_trained_and_blamed_by_its_own_name(
    begun: Path, data: DataSettings, weights: Path
) -> None:
    own = [*asked.of_model(data.path, "hand-engineered-a", None), "--device=cpu"]
    out = begun.parent / "out"
    (begun.parent / "text.onnx").write_text("no network")
    for given, options in (
        (str(begun.parent / "text.onnx"), {}),
        ("no.such.module:make", {"weights": weights}),
    ):
        with pytest.raises(UserError) as caught:
            audited(given, out=out, overrides=own, **options)
        assert caught.value.where == given
        assert "reference" not in str(caught.value)
        assert not out.exists()


@pytest.mark.parametrize("name", ["foolbox", "kornia", "matplotlib", "pyautoattack"])
def test_a_missing_extra_is_named_at_once(name: str, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == name else module)
    with pytest.raises(UserError, match=name) as caught:
        audited(str(begun), network="reference")
    assert "contragrad[audit]" in caught.value.remedy


# Epsilon.


def test_epsilon_is_the_studys_unless_it_is_given() -> None:
    config = replace(CONFIG, attack=AttackSettings(epsilon=Fraction(16, 255)))
    assert asked.depth_of({}, config) == AuditSettings(epsilon=Fraction(16, 255))
    for given, expected in (("4/255", Fraction(4, 255)), ("0.03", Fraction(3, 100)), ("1", Fraction(1))):
        found = asked.depth_of({"epsilon": given, "steps": 3}, config)
        assert found == AuditSettings(epsilon=expected, steps=3)


@pytest.mark.parametrize("name", ["fgsm", "linf-pgd", "mi-fgsm"])
def test_the_epsilon_of_any_linf_attack_is_an_audits(name: Any) -> None:
    config = replace(CONFIG, attack=AttackSettings(name=name, epsilon=Fraction(2, 255)))
    assert asked.depth_of({}, config).epsilon == Fraction(2, 255)


def test_a_study_in_another_norm_leaves_epsilon_to_be_given(begun: Path) -> None:
    config = config_file.read(begun / CONFIGURATION)
    l2 = replace(config, attack=AttackSettings(name="l2-pgd", epsilon=Fraction(3, 2)))
    config_file.write(l2, begun / CONFIGURATION)
    with pytest.raises(UserError, match="l2-pgd has no L_inf radius") as caught:
        audited(str(begun))
    assert caught.value.where == "--epsilon"
    with pytest.raises(ReachedError):
        audited(str(begun), settings={"epsilon": "8/255"}, network="reference")


@pytest.mark.parametrize("epsilon", ["", "eight", "8/0", "nan", "inf", "8/255/2", "0", "-1/255", "8"])
def test_a_wrong_epsilon_is_refused(epsilon: str, begun: Path) -> None:
    with pytest.raises(UserError) as caught:
        audited(str(begun), settings={"epsilon": epsilon})
    assert caught.value.where == "--epsilon"
    assert caught.value.remedy


def test_an_epsilon_of_zero_of_the_studys_is_refused_too(begun: Path) -> None:
    config = replace(config_file.read(begun / CONFIGURATION), attack=AttackSettings(epsilon=Fraction(0)))
    config_file.write(config, begun / CONFIGURATION)
    with pytest.raises(UserError, match="0 is no radius") as caught:
        audited(str(begun))
    assert caught.value.where == "--epsilon"


def test_a_recipe_is_called_known_only_where_it_is_stated(
    begun: Path, data: DataSettings, weights: Path
) -> None:
    named = asked.of_model(data.path, "hand-engineered-a", None)
    model = {"weights": weights, "out": begun.parent / "out", "recipe_known": True}
    own = begun / "own.yaml"
    own.write_text("training: {objective: cross-entropy}")
    for options in ({"overrides": named}, {"overrides": [*named, "--reference.epochs=3"]}):
        with pytest.raises(UserError, match=r"training\.objective .*not stated") as caught:
            audited("package.module:make", **model, **options)
        assert caught.value.where == "--recipe-known"
    with pytest.raises(UserError, match=r"known, and reference\.epochs are not stated"):
        audited("package.module:make", **model, overrides=named, study_file=own)
    stated = [*named, "--training.objective=cross-entropy", "--reference.epochs=3"]
    joined = ["--training.objective=orthogonal", '--training.sources=["reference", "surrogate"]']
    with pytest.raises(UserError, match="a model's file is one network"):
        audited("package.module:make", **model, overrides=[*stated, *joined, "--refine.together=true"])
    with pytest.raises(UserError, match="--recipe-known does not go with such a target"):
        audited(str(begun), network="reference", recipe_known=True)


# As it is typed.


def told(words: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said on standard error of a command that ends with 2."""
    assert exits(["audit", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "Traceback" not in err
    return err


def test_a_missing_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = told([tmp_path / "no [red]where"], capsys)
    assert "there is no study in this folder" in err
    assert f"at: {tmp_path}/no [red]where" in err
    assert not list(tmp_path.iterdir())


def test_a_run_that_has_not_ended_is_told_how_to_end(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = told([begun], capsys)
    assert "the study has not ended" in err
    assert f"try: contragrad resume {begun}" in err
    assert not (begun / "audit").exists()


def test_an_unknown_network_is_told_which_there_are(ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = told([ended, "--network", "NE+GM 7"], capsys)
    assert "the study has no network NE+GM 7" in err
    assert "at: --network" in err
    assert "try: one of: reference; reference+GM; hand-engineered+GM; NE+GM 1" in err


def test_a_study_without_a_refined_network_says_which_there_are(
    ended: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = full_trainings.final_trainings
    monkeypatch.setattr(
        full_trainings,
        "final_trainings",
        lambda *what: [task for task in trainings(*what) if not task.name.startswith("NE+")],
    )
    err = told([ended], capsys)
    assert "the study has refined no evolved network" in err
    assert "at: --network" in err
    assert "try: one of: reference; reference+GM; hand-engineered+GM" in err


def test_weights_that_are_gone_are_named(ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for network, words in (("NE+GM 1", ()), ("reference+GM", ("--network", "reference+GM"))):
        err = told([ended, *words], capsys)
        assert f"the weights of {network} are not there" in err
        assert f"at: {ended}/artefacts/network-" in err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--images", "0"], "--images"),
        (["--steps", "0"], "--steps"),
        (["--queries", "0"], "--queries"),
        (["--surrogates", "0"], "--surrogates"),
        (["--tolerated", "0.5"], "--tolerated"),
        (["--budget", "0"], "--budget"),
        (["--epsilon", "8"], "--epsilon"),
        (["--epsilon", "eight"], "--epsilon"),
        (["--out", "x"], "--out"),
        (["--config", "x.yaml"], "--config"),
        (["--weights", "x"], "--weights"),
        (["--nonsense", "3"], "--nonsense 3"),
    ],
)
def test_a_wrong_option_is_named(
    words: list[str], where: str, begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"at: {where}\n" in told([begun, *words], capsys)


@pytest.mark.parametrize(
    "words", [[], ["--images", "many"], ["a", "b"], ["a", "--network"]], ids=lambda words: " ".join(words)
)
def test_words_that_are_no_command_end_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "contragrad" in told(words, capsys)


def test_options_are_handed_on_as_they_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    got: dict[str, Any] = {}

    def stopped(given: str, **options: Any) -> None:
        got.update(options, given=given)
        raise UserError("enough")

    monkeypatch.setattr(command, "audit", stopped)
    words = "m:f --weights w --config c --out o --budget 5 --epsilon 16/255 --images 9 --steps 8 --queries 7"
    more = "--surrogates=6 --tolerated=0.1 --restarts 2 --distilled 10 --l2-epsilon 1 --data d.npz --seed=2"
    named = ["--recipe-known", "--reference", "m:r", "--reference-weights=r"]
    assert exits(["audit", *words.split(), *more.split(), *named]) == 2
    assert got.pop("watch") is not None
    assert got == {
        "given": "m:f",
        "network": None,
        "weights": Path("w"),
        "study_file": Path("c"),
        "out": Path("o"),
        "recipe_known": True,
        "overrides": [
            "--data.source=npz",
            "--data.path=d.npz",
            "--reference.factory=m:r",
            "--reference.weights=r",
            "--seed=2",
        ],
        "settings": {
            "minutes": 5.0,
            "epsilon": "16/255",
            "images": 9,
            "steps": 8,
            "queries": 7,
            "surrogates": 6,
            "tolerated": 0.1,
            "restarts": 2,
            "distilled": 10,
            "l2_epsilon": "1",
        },
    }
    assert got["settings"].keys() == {setting.name for setting in fields(AuditSettings)}
    assert exits(["audit", "run", "--network", "reference"]) == 2
    assert (got["network"], got["settings"], got["recipe_known"]) == ("reference", {}, False)


@pytest.mark.parametrize("words", [lambda folder: [folder], lambda folder: ["m:f", "--out", folder]])
def test_who_interrupts_an_audit_is_not_sent_to_resume(
    words: Callable[[Path], list[str | Path]],
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "audit", interrupted)
    assert exits(["audit", *words(begun)]) == 130
    assert capsys.readouterr().err.endswith("interrupted; the same command goes on from here\n")
