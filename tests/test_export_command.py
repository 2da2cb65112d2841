"""`contragrad export` as it is typed, on a run that has ended: files, the model card, and what is refused."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import contragrad
import exports
import found
from contragrad import extras
from contragrad.audit.card import content as content_of
from contragrad.audit.target import training_of
from contragrad.cli import main
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import cost
from contragrad.export import formats, job
from contragrad.export.check import Agreement, Answers, compared
from contragrad.export.model_card import code, escaped
from contragrad.jobs import full_trainings
from contragrad.jobs.tasks import task_name
from contragrad.run_folder import history
from contragrad.run_folder.contents import load_splits
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, TABLE, Workspace
from contragrad.settings import config_file
from contragrad.settings.config import RefineSettings, TrainingSettings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return exports.ended_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def folder(made: Workspace, tmp_path: Path) -> Path:
    """A copy of the run, without its data."""
    return Path(shutil.copytree(made.folder, tmp_path / "run [x]"))


def exits(*words: str | Path) -> int:
    try:
        return main(["export", *map(str, words)])
    except SystemExit as left:
        return int(left.code or 0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def answer(folder: Path) -> tuple[Tensor, Tensor]:
    """Images, and what the run's best network answers."""
    workspace = history.stored_workspace(folder)
    batch = exports.images(workspace.problem)
    with torch.no_grad():
        return batch, contragrad.load(folder)(batch)


# What is written.


def test_the_best_network_is_exported_with_its_card(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits(folder) == 0
    out, err = capsys.readouterr()
    path = folder / "export" / "NE-GM-1.safetensors"
    assert out == f"written: {path}\nwritten: {path}.md\n"
    assert re.search(r"on 4 images, logits differ by at most .* 100 % of the answers are equal", err)
    assert names(path.parent) == ["NE-GM-1.safetensors", "NE-GM-1.safetensors.md"]
    batch, expected = answer(folder)
    with torch.no_grad():
        assert torch.equal(contragrad.load(path)(batch), expected)


def test_the_best_network_is_the_best_that_did_not_diverge(tmp_path: Path) -> None:
    there = exports.ended_run(tmp_path / "run", refine=RefineSettings(networks=2, epochs=3))
    state = history.load(there.folder).state
    assert state is not None
    best = task_name(full_trainings.final_trainings(there, state)[2], there)
    there.artefacts.remove("network", best)
    reason = torch.tensor(list(b"diverged"), dtype=torch.uint8)
    there.artefacts.save("diverged", best, {"reason": reason})
    assert exits(there.folder) == 0
    assert "NE-GM-2.safetensors" in names(there.folder / "export")


def test_the_card_says_what_the_network_is(folder: Path, made: Workspace) -> None:
    assert exits(folder) == 0
    path = folder / "export" / "NE-GM-1.safetensors"
    card = path.with_name(f"{path.name}.md").read_text()
    task = training_of(made, None)
    assert task is not None
    for said in (
        "# NE+GM 1: transfer resistance from hand-engineered-b",
        f"`{task.architecture}`",
        f"fingerprint `{task_name(task, made)}`",
        f"fingerprint `{made.data}`",
        f"fingerprint `{made.reference_name}`",
        "Training: objective `gm`, against `reference`, λ 1, 23 epochs, the study's seed 0\n",
        "(B, 1, 9, 7), float32 in [0, 1]",
        "clean accuracy 75.0 % (59.8 % to 85.8 %)",
        "adversarial accuracy 50.0 % (35.2 % to 64.8 %)",
        "`contragrad audit RUN --network 'NE+GM 1'`",
        "no white-box defence",
        hashlib.sha256(path.read_bytes()).hexdigest(),
        contragrad.__version__,
        torch.__version__,
    ):
        assert said in card
    assert str(folder) not in card


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {"sources": ("reference", "plain", "key"), "gm_weight": 2.5},
            "`reference`, `plain`, `key`, λ 2.5, ",
        ),
        (
            {"objective": "fixed-adversarial", "sources": ("reference", "plain")},
            "objective `fixed-adversarial`, against `reference`, `plain`, 23 ",
        ),
        ({"objective": "free-adversarial"}, "objective `free-adversarial`, 23 "),
    ],
    ids=["penalty", "fixed", "alone"],
)
def test_the_card_says_against_whom_the_network_was_trained(
    training: dict[str, Any], said: str, tmp_path: Path
) -> None:
    workspace = exports.ended_run(tmp_path / "run", training=TrainingSettings(**training))
    assert exits(workspace.folder) == 0
    (card,) = (workspace.folder / "export").glob("*.md")
    text = card.read_text()
    assert said in text
    # By the seed a key is drawn, and the card is for everyone.
    assert ("the study's seed withheld" in text) == ("key" in training.get("sources", ()))
    assert (f"the study's seed {workspace.config.seed}" in text) != ("the study's seed withheld" in text)


def test_a_reference_that_was_given_was_not_trained(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    trained = exports.ended_run(tmp_path / "first" / "run")
    weights = trained.artefacts.path("network", trained.reference_name)
    reference = replace(exports.CONFIG.reference, weights=str(weights))
    workspace = exports.ended_run(tmp_path / "run", reference=reference)
    assert exits(workspace.folder, "--network", "reference") == 0
    card = (workspace.folder / "export" / "reference.safetensors.md").read_text()
    assert "Training: none by this study" in card


def test_the_costs_on_the_card_are_the_genomes(folder: Path, made: Workspace) -> None:
    assert exits(folder) == 0
    card = (folder / "export" / "NE-GM-1.safetensors.md").read_text()
    task = training_of(made, None)
    assert task is not None
    spent = cost(parse(task.architecture), made.problem)
    assert f"Parameters: {spent.parameters:,}\n" in card
    assert f"two: {spent.flops:,}\n" in card


def test_python_source_runs_where_there_is_no_contragrad(folder: Path) -> None:
    assert exits(folder, "--format", "python") == 0
    place = folder / "export"
    assert names(place) == ["NE_GM_1.py", "NE_GM_1.py.md", "NE_GM_1.safetensors"]
    batch, expected = answer(folder)
    torch.save(batch, place / "batch.pt")
    # As a user has it: by the lines of the card.
    (lines,) = re.findall(r"```python\n(.*?)```", (place / "NE_GM_1.py.md").read_text(), re.S)
    script = (
        "import sys; sys.modules['contragrad'] = None\n"
        f"import torch\n{lines}\n"
        "torch.save(network(torch.load('batch.pt')).detach(), 'logits.pt')"
    )
    subprocess.run([sys.executable, "-c", script], cwd=place, check=True)
    assert torch.allclose(torch.load(place / "logits.pt"), expected, rtol=1e-5, atol=1e-6)
    assert load_file(place / "NE_GM_1.safetensors").keys() >= {"mean", "deviation", "hidden.weight"}


def test_text_is_printed_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits(folder, "--format", "text") == 0
    path = folder / "export" / "NE-GM-1.txt"
    assert names(path.parent) == [path.name]
    out = capsys.readouterr().out
    assert out == f"{path.read_text()}\nwritten: {path}\n"
    assert "FLOPs" in out


@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_a_graph_is_written_and_compared(kind: str, tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "deep" / f"model{'.onnx' if kind == 'onnx' else '.pt2'}"
    assert exits(folder, "--format", kind, "--out", out) == 0
    assert names(out.parent) == [out.name, f"{out.name}.md"]
    assert "export" not in names(folder)


@pytest.mark.parametrize("network", ["reference", "hand-engineered+GM"])
def test_any_network_of_the_table_is_exported(network: str, folder: Path) -> None:
    assert exits(folder, "--network", network) == 0
    (path,) = (folder / "export").glob("*.safetensors")
    batch, _ = answer(folder)
    with torch.no_grad():
        expected = contragrad.load(folder, network=network)(batch)
        assert torch.equal(contragrad.load(path)(batch), expected)
    said = "no defence" if network == "reference" else "do not fool."
    assert said in path.with_name(f"{path.name}.md").read_text()


def test_data_and_device_of_the_study_need_not_be_there(folder: Path) -> None:
    config = config_file.read(folder / CONFIGURATION)
    gone = replace(config, device="mps", data=replace(config.data, path="/nowhere/data.npz"))
    config_file.write(gone, folder / CONFIGURATION)
    assert exits(folder) == 0
    assert answer(folder)[1].device.type == "cpu"


# The model card and what comes from outside.


def audited(folder: Path, made: Workspace, **changes: Any) -> Path:
    """An audit's card in the run folder."""
    task = training_of(made, None)
    assert task is not None
    content = {
        "title": "transfer resistance of NE+GM 1 from hand-engineered-b",
        "epsilon": "8/255",
        "verdict": "Defeated by the white box.",
        "target": {"name": "NE+GM 1", "fingerprint": task_name(task, made)},
    }
    path = folder / "audit" / "NE-GM-1" / "8-255" / "card.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content_of(found.sound()) | content | changes))
    return path


def test_the_audits_verdict_stands_on_the_card(folder: Path, made: Workspace) -> None:
    audited(folder, made)
    assert exits(folder) == 0
    card = (folder / "export" / "NE-GM-1.safetensors.md").read_text()
    assert "### transfer resistance of NE+GM 1 from hand-engineered-b, epsilon 8/255" in card
    assert "Defeated by the white box. The whole card is `audit/NE-GM-1/8-255/card.json`" in card
    assert "No audit" not in card


def test_an_audit_of_other_weights_is_not_the_networks(folder: Path, made: Workspace) -> None:
    audited(folder, made, target={"name": "NE+GM 1", "fingerprint": "0" * 32})
    assert exits(folder) == 0
    card = (folder / "export" / "NE-GM-1.safetensors.md").read_text()
    assert "No audit" in card
    assert "Defeated" not in card


def test_markup_in_an_audits_card_stays_text(folder: Path, made: Workspace) -> None:
    audited(folder, made, verdict="<script>x</script> [a](http://b) **c**\n# d", title="| `e`")
    assert exits(folder) == 0
    card = (folder / "export" / "NE-GM-1.safetensors.md").read_text()
    assert r"\<script\>x\</script\> \[a\](http:\/\/b) \*\*c\*\* \# d" in card
    assert r"### \| \`e\`, epsilon" in card


@pytest.mark.parametrize("text", ["[]", '{"title": "half a ca', "{}"])
def test_an_audits_card_that_cannot_be_read_is_named_and_stops_nobody(
    folder: Path, made: Workspace, text: str
) -> None:
    audited(folder, made).write_text(text)
    assert exits(folder) == 0
    card = (folder / "export" / "NE-GM-1.safetensors.md").read_text()
    assert "### An audit whose card cannot be read" in card
    assert "`audit/NE-GM-1/8-255/card.json`" in card
    assert "contragrad audit writes it anew" in card
    assert "No audit" not in card


def test_a_table_of_other_weights_is_not_the_networks(folder: Path) -> None:
    table = folder / TABLE
    table.write_text(table.read_text().replace("artefacts/network-", "artefacts/network-0"))
    assert exits(folder) == 0
    assert "nothing was measured" in (folder / "export" / "NE-GM-1.safetensors.md").read_text()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plain words, 8/255.", "plain words, 8/255."),
        ("L_inf a\nb\x1b[0m", r"L\_inf a b\\x1b\[0m"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("2.5 epsilon", "2\\.5 epsilon"),
        ("www.example.org", r"www\.example.org"),
        ("a\\*b", r"a\\\*b"),
    ],
)
def test_text_from_outside_means_nothing_to_markdown(given: str, expected: str) -> None:
    assert escaped(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a*b", "`a*b`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("a\n\nb", "`a b`")],
)
def test_code_from_outside_ends_where_it_ends(given: str, expected: str) -> None:
    assert code(given) == expected


# What is refused.


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert exits(*words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "Traceback" not in err
    return err


def test_files_that_are_there_are_replaced_only_by_force(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits(folder) == 0
    path = folder / "export" / "NE-GM-1.safetensors"
    whole = path.read_bytes()
    path.write_text("mine")
    capsys.readouterr()
    assert "--force" in refused(capsys, folder)
    assert path.read_text() == "mine"
    path.unlink()
    assert f"{path}.md" in refused(capsys, folder)
    assert exits(folder, "--force") == 0
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "NE+GM 7"], "NE+GM 7"),
        (["--best"], "unrecognized"),
        (["--format", "tflite"], "tflite"),
        (["--out", "model.onnx"], ".safetensors"),
        (["--out", "."], ".safetensors"),
        (["--format", "python", "--out", "my-model.py"], "my-model.py"),
        (["--search.generations", "3"], "unrecognized"),
    ],
)
def test_wrong_words_are_named(
    words: Sequence[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, folder, *words)
    assert "export" not in names(folder)


def test_a_folder_without_a_study_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no study" in refused(capsys, tmp_path)


def test_a_study_that_has_not_begun_or_not_ended_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_file.read(folder / CONFIGURATION)
    longer = replace(config, search=replace(config.search, generations=5))
    config_file.write(longer, folder / CONFIGURATION)
    assert "not ended" in refused(capsys, folder)
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    assert "not begun" in refused(capsys, folder)


def test_weights_that_are_gone_are_named(
    folder: Path, made: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    task = training_of(made, None)
    assert task is not None
    path = replace(made, folder=folder).artefacts.path("network", task_name(task, made))
    path.unlink()
    assert str(path) in refused(capsys, folder)


def test_a_place_that_cannot_be_written_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    err = refused(capsys, folder, "--out", tmp_path / "file" / "model.safetensors")
    assert "cannot be written" in err


def test_what_does_not_answer_as_the_network_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exporter that loses a block, as torch's older one does."""
    right = formats.FORMATS["safetensors"]

    def wrong(path: Path, target: Any) -> Any:
        assert right.answers is not None
        network = right.answers(path, target)
        return lambda batch: network(batch) + 0.01

    monkeypatch.setitem(formats.FORMATS, "safetensors", replace(right, answers=wrong))
    assert "not the network" in refused(capsys, folder)
    assert not names(folder / "export")


@pytest.mark.parametrize(("split", "part"), [("validation", "validation"), ("test", "train")])
def test_test_images_are_never_looked_at(
    split: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the fitness on the test images, they stand where the validation images are."""
    seen: list[Tensor] = []

    def noted(network: Answers, written: Answers, batch: Tensor) -> Agreement:
        seen.append(batch)
        return compared(network, written, batch)

    monkeypatch.setattr(job, "compared", noted)
    workspace = exports.ended_run(tmp_path / "run", fitness_split=split)
    assert exits(workspace.folder) == 0
    splits = load_splits(workspace)
    assert [torch.equal(batch, getattr(splits, part).images / 255) for batch in seen] == [True]
    assert not torch.equal(seen[0], splits.test.images / 255)
    card = (workspace.folder / "export" / "NE-GM-1.safetensors.md").read_text()
    assert ("the figures are too good" in card) is (split == "test")


def test_missing_packages_are_said_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    err = refused(capsys, tmp_path / "nowhere", "--format", "onnx")
    assert "onnxscript" in err
    assert "pip install 'contragrad[onnx]'" in err
