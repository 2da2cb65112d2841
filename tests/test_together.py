"""A study whose networks are deployed with the surrogates they were trained against: table, files, audit."""

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import contragrad
from contragrad import evaluate
from contragrad.audit import sources
from contragrad.audit.target import of_run, training_of
from contragrad.cli import main
from contragrad.data.dataset import pixels
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.evolution.shapes import Problem
from contragrad.export import network_file
from contragrad.export.network_file import MOST_MEMBERS, Description
from contragrad.jobs import run
from contragrad.jobs.curve import curve_of
from contragrad.jobs.recipes import UNDEFENDED
from contragrad.jobs.tasks import against, deployed_architecture, deployed_name, task_name
from contragrad.networks.architectures import construct, ensemble_of, members_of
from contragrad.networks.ensemble import Ensemble
from contragrad.networks.network import Normalisation, parameter_count
from contragrad.reference import architecture
from contragrad.run_folder import history
from contragrad.run_folder.contents import load_source, load_splits
from contragrad.run_folder.history import stored_workspace
from contragrad.run_folder.workspace import TABLE, Workspace
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import nobody
from small_study import config_of, ended, without_workers

BEST = "NE+orthogonal 1, together"
PROBLEM = Problem(1, 9, 7, 4)
UNCHANGED = Normalisation((0.0,), (1.0,))
GENOME = "conv(4,3) fc(8)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("made")
    return stored_workspace(ended(joined(folder), folder / "run"))


def joined(folder: Path, **changes: str) -> StudyConfig:
    own = {
        "training__objective": "orthogonal",
        "training__sources": '["reference", "surrogate"]',
        "refine__together": "true",
    }
    return config_of(folder, **(own | changes))


def rows(workspace: Workspace) -> dict[str, Row]:
    return {row.name: row for row in evaluate.read(workspace.folder / TABLE)}


def apart(workspace: Workspace) -> list[nn.Module]:
    """The best evolved network and the study's surrogate, each from its own file."""
    task = training_of(workspace, BEST)
    assert task is not None
    splits = load_splits(workspace)
    own = construct(task.architecture, workspace.problem, UNCHANGED, 0)
    own.load_state_dict(workspace.artefacts.load("network", task_name(task, workspace)))
    return [own.eval(), load_source(against(task, workspace), splits, 1)]


@torch.no_grad()
def by_hand(workspace: Workspace, images: Tensor) -> Tensor:
    """The mean of what the two say."""
    first, second = (network(images).log_softmax(1) for network in apart(workspace))
    mean: Tensor = (first + second) / 2
    return mean


def exits(*words: str | Path) -> tuple[int, str]:
    """The command's exit code and what it said."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([*map(str, words)])
        except SystemExit as left:
            code = int(left.code or 0)
    return code, out.getvalue() + err.getvalue()


def test_the_table_is_of_the_ensembles_and_its_files_hold_all_their_weights(made: Workspace) -> None:
    found, test = rows(made), load_splits(made).test
    assert list(found) == [
        "reference",
        "reference+orthogonal, together",
        "hand-engineered+orthogonal, together",
        BEST,
        UNDEFENDED,
    ]
    row, members = found[BEST], apart(made)
    assert members_of(row.architecture)[1:] == (architecture(made.config.reference),)
    assert row.parameters == sum(map(parameter_count, members))
    right = int((by_hand(made, pixels(test.images)).argmax(1) == test.labels).sum())
    assert row.clean_accuracy == right / len(test)
    network = construct(row.architecture, made.problem, UNCHANGED, 0)
    network.load_state_dict(load_file(made.folder / row.weights))
    torch.testing.assert_close(network.eval()(pixels(test.images)), by_hand(made, pixels(test.images)))
    assert members_of(found[UNDEFENDED].architecture) == (found[UNDEFENDED].architecture,)


def test_it_is_found_again_and_can_be_taken_apart(made: Workspace) -> None:
    before = (made.folder / TABLE).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        without_workers(patch)
        run.resume(made.folder, [], nobody)
        assert (made.folder / TABLE).read_bytes() == before
        assert history.load(made.folder).looks == 1
        alone = run.resume(made.folder, ["--refine.together=false"], nobody)
        assert history.load(made.folder).looks == 2, "the test images were seen before that was chosen"
        again = run.resume(made.folder, ["--refine.together=true"], nobody)
    assert [row.name for row in alone][1:-1] == [
        "reference+orthogonal",
        "hand-engineered+orthogonal",
        BEST.removesuffix(", together"),
    ]
    assert alone[3].architecture == members_of(again[3].architecture)[0]
    assert alone[3].parameters < again[3].parameters
    assert (made.folder / TABLE).read_bytes() == before


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "torch-export"])
def test_it_is_taken_out_whole(made: Workspace, tmp_path: Path, kind: str) -> None:
    suffix = {"safetensors": ".safetensors", "onnx": ".onnx", "torch-export": ".pt2"}[kind]
    path = tmp_path / f"out{suffix}"
    code, said = exits("export", made.folder, "--format", kind, "--out", path)
    assert code == 0, said
    card = path.with_name(f"{path.name}.md").read_text()
    assert f"`{rows(made)[BEST].architecture}`" in card
    assert "clean accuracy" in card, "its row of the table was found"
    images = torch.rand(5, 1, 8, 8)
    network = torch.export.load(path).module() if kind == "torch-export" else contragrad.load(path)
    torch.testing.assert_close(network(images), by_hand(made, images), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(contragrad.load(made.folder)(images), by_hand(made, images))


@pytest.mark.parametrize("kind", ["python", "text"])
def test_what_is_written_of_one_genome_is_refused(made: Workspace, tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("out.py" if kind == "python" else "out.txt")
    code, said = exits("export", made.folder, "--format", kind, "--out", path)
    assert code == 2
    assert "is no genome, it is of ensemble" in said
    assert not list(tmp_path.iterdir())


def test_who_knows_the_recipe_has_an_ensemble_with_surrogates_of_his_own(made: Workspace) -> None:
    splits, task = load_splits(made), training_of(made, None)
    assert task is not None
    target = of_run(made, splits, task)
    assert target.name == BEST
    assert target.fingerprint == deployed_name(task, made) != task_name(task, made)
    assert isinstance(target.network, Ensemble)
    tasks = sources.trainings(made, target, 2)
    alike = [name(number) for name in (sources.surrogate, sources.stranger) for number in (1, 2)]
    assert [name for name, each in tasks.items() if each.together] == alike
    his = tasks[alike[0]]
    assert deployed_architecture(his, made) == target.text
    theirs = {deployed_name(his, made), against(his, made).source_names()[1]}
    assert theirs.isdisjoint({target.fingerprint, made.source_names()[1]}), "none of his is the study's"
    second = against(tasks[alike[1]], made).source_names()[1]
    assert second not in theirs | {made.source_names()[1]}, "the second has other sources than the first"


def test_whoever_knows_the_recipe_trains_for_as_long_as_the_network_was(tmp_path: Path) -> None:
    refine = {"refine__epochs": "9", "refine__keep": "best", "refine__patience": "1"}
    made = stored_workspace(ended(joined(tmp_path, **refine), tmp_path / "run"))
    task = training_of(made, None)
    assert task is not None
    curve = curve_of(made.artefacts, task_name(task, made))
    assert curve is not None
    assert curve.is_flat(1)
    assert curve.epochs < task.epochs
    target = of_run(made, load_splits(made), task)
    assert (target.epochs, target.recipe_known) == (curve.epochs, True)
    trained = sources.trainings(made, target, 1)
    assert {trained[name].epochs for name in (sources.TWIN, sources.surrogate(1))} == {curve.epochs}
    # Without its curve it is known for how long at most.
    made.artefacts.path("curve", task_name(task, made)).unlink()
    lost = of_run(made, load_splits(made), task)
    assert (lost.epochs, lost.recipe_known) == (task.epochs, False)


def test_its_card_is_of_the_ensemble(made: Workspace) -> None:
    code, said = exits(
        *("audit", made.folder, "--images", "20", "--steps", "2", "--restarts", "1", "--queries", "5"),
        *("--surrogates", "1", "--distilled", "20", "--budget", "0.3"),
    )
    assert code == 0, said
    (path,) = (made.folder / "audit").glob("*/*/card.json")
    card = json.loads(path.read_text())
    assert card["target"]["name"] == BEST
    assert card["target"]["architecture"] == rows(made)[BEST].architecture
    code, said = exits("export", made.folder, "--force")
    assert code == 0, said
    (written,) = (made.folder / "export").glob("*.md")
    assert "No audit of this network was run" not in written.read_text()
    code, said = exits("report", made.folder)
    assert code == 0, said


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"training__sources": '["reference", "another-seed"]'},
            "orthogonal against reference, another-seed has no surrogate to deploy with it",
        ),
        (
            {"training__objective": "mixed-adversarial"},
            "mixed-adversarial is trained against no source that could be deployed with it",
        ),
    ],
)
def test_there_must_be_somebody_to_be_deployed_with(
    tmp_path: Path, changes: dict[str, str], why: str
) -> None:
    with pytest.raises(UserError, match=why) as raised:
        run.create(joined(tmp_path, **changes), tmp_path / "run", nobody)
    assert raised.value.where == "refine.together"
    assert not (tmp_path / "run").exists()


def test_a_description_builds_no_more_than_it_should(tmp_path: Path) -> None:
    network = construct(ensemble_of([GENOME] * 2), PROBLEM, UNCHANGED, 0)
    assert isinstance(network, Ensemble)
    tensors = dict(network.state_dict())
    for text, why in (
        (ensemble_of([GENOME] * (MOST_MEMBERS + 1)), "an ensemble of 65"),
        (ensemble_of([GENOME] * 3), "another network's"),
        (ensemble_of([GENOME, "factory os:getcwd"]), "made by a factory"),
        (ensemble_of([ensemble_of([GENOME]), GENOME]), "genome cannot be read"),
        (ensemble_of([GENOME, ""]), "genome cannot be read"),
        (ensemble_of([GENOME, "torchvision nonsense"]), "there is no architecture"),
    ):
        path = tmp_path / "file.safetensors"
        network_file.write(Description("name", text, PROBLEM), tensors, path)
        description, read = network_file.read(path)
        with pytest.raises(UserError, match=why):
            network_file.assembled(description, read, str(path))
    path = tmp_path / "whole.safetensors"
    network_file.write(Description("name", ensemble_of([GENOME] * 2), PROBLEM), tensors, path)
    images = torch.rand(3, 1, 9, 7)
    torch.testing.assert_close(contragrad.load(path)(images), network.eval()(images))
