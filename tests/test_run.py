"""The main job as a user runs it: whole, interrupted, and with wrong input."""

import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from contragrad.cli import main
from contragrad.engine.memo import SqliteMemo
from contragrad.jobs.recipes import UNDEFENDED
from contragrad.settings import config_file
from contragrad.settings.config import DataSettings, StudyConfig
from elsewhere import fill, small_disk

SMALL = {
    "device": "cpu",
    "data": {"source": "digits"},
    "reference": {"epochs": 2},
    "search": {
        "generations": 2,
        "epochs": 1,
        "channels": [8],
        "hidden": 16,
        "initial_blocks_max": 8,
        "limits": {"flops": 300_000},
    },
    "refine": {"epochs": 2, "checkpoint_every": 1},
}


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "contragrad.cli", *map(str, words)]


def call(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


@dataclass(frozen=True)
class Done:
    """What a call came to."""

    returncode: int
    stdout: str
    stderr: str


def call_here(*words: str | Path, cwd: Path | None = None) -> Done:
    """The command in this process: torch is imported once. A traceback would fail the test by itself."""
    out, err = io.StringIO(), io.StringIO()
    sys.modules.pop("nets", None)
    path = list(sys.path)
    try:
        with redirect_stdout(out), redirect_stderr(err), chdir(cwd or Path.cwd()):
            code = main([str(word) for word in words])
    except SystemExit as end:
        code = int(str(end.code))
    finally:
        sys.path[:] = path
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


@pytest.fixture(scope="module")
def whole(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with one worker."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = call("evolve", "--config", study_file, "--out", folder, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return folder


def history(folder: Path) -> dict[str, object]:
    shown = call("show", folder, "--json")
    assert shown.returncode == 0, shown.stderr
    found: dict[str, object] = json.loads(shown.stdout)
    return found


@pytest.mark.slow
def test_a_run_leaves_its_table(whole: Path) -> None:
    rows = json.loads((whole / "table.json").read_text())
    names = ["reference", "reference+GM", "hand-engineered+GM", "NE+GM 1", "NE+GM 2", UNDEFENDED]
    assert [row["name"] for row in rows] == names
    for row in rows:
        for kind in ("clean", "adversarial"):
            low, high = row[f"{kind}_interval"]
            assert 0 <= low <= row[f"{kind}_accuracy"] <= high <= 1
        assert row["parameters"] > 0
        assert (whole / row["weights"]).is_file()
    shown = call("show", whole).stdout
    assert "20 of 20 evaluations" in shown
    assert "NE+GM 2" in shown


def killed_after(lines: int, *words: str | Path) -> int | None:
    """Runs the command and kills it once it has said so many lines; None if it ended before."""
    with subprocess.Popen(
        command(*words), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for said, _ in enumerate(process.stderr, start=1):
            if said == lines:
                process.kill()
                return said
        assert process.wait() == 0
    return None


@pytest.mark.slow
def test_two_workers_and_kills_at_random_moments_end_in_the_same_state(
    whole: Path, study_file: Path, tmp_path: Path
) -> None:
    folder, moments = tmp_path / "run", random.Random(0)
    words: tuple[str | Path, ...] = ("evolve", "--config", study_file, "--out", folder, "--workers", "2")
    said, kills = 4, 0
    # A resumed run tells again what it knows before it says something new.
    while (lines := killed_after(said, *words)) is not None:
        said, kills = lines + moments.randint(1, 4), kills + 1
        assert (folder / "study.yaml").exists()
        words = ("resume", folder, "--workers", "2")
    assert kills >= 5
    assert json.loads((folder / "table.json").read_text()) == json.loads((whole / "table.json").read_text())
    assert history(folder) == history(whole)
    with sqlite3.connect(folder / "study.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    assert not list(folder.glob("**/.*"))
    assert not list(folder.glob("artefacts/checkpoint-*"))


@pytest.mark.slow
def test_a_raced_study_goes_on_from_its_database_alone(study_file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    racing = ("--search.epochs", "3", "--search.rungs", "[0.5]", "--workers", "2")
    assert call("evolve", "--config", study_file, "--out", one, *racing).returncode == 0
    told = history(one)["history"]
    assert isinstance(told, list)
    assert any("stopped" in event["outcome"] for event in told)
    assert "behind with fitness" in call("show", one).stdout
    two.mkdir()
    for name in ("study.yaml", "study.db"):
        (two / name).write_bytes((one / name).read_bytes())
    with sqlite3.connect(two / "study.db") as database:
        database.execute("delete from evaluation where rowid > 14")
    assert call("resume", two, "--workers", "1").returncode == 0
    assert history(two) == history(one)
    assert (two / "table.json").read_text() == (one / "table.json").read_text()


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_leaves_no_worker(study_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        command("evolve", "--config", study_file, "--out", folder, "--refine.epochs", "2000"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    while "[3/20]" not in process.stderr.readline():
        pass
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"contragrad resume {folder}" in said
    assert "Traceback" not in said
    assert group_ends(process.pid)


def group_ends(leader: int) -> bool:
    """Whether the group's last process is gone soon: those of multiprocessing notice the driver's end."""
    for _ in range(100):
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_finished_run_can_be_resumed_and_a_lost_artefact_is_made_again(whole: Path) -> None:
    before = (whole / "table.json").read_text()
    network = next(whole.glob("artefacts/network-*"))
    content = bytearray(network.read_bytes())
    content[-5] ^= 1
    network.write_bytes(content)
    done = call("resume", whole)
    assert done.returncode == 0, done.stderr
    assert (whole / "table.json").read_text() == before
    told = history(whole)["history"]
    assert isinstance(told, list)
    assert f"evolving: {len(told)} of {len(told)} evaluations known" in done.stderr


@pytest.mark.slow
def test_a_finished_study_can_be_lengthened_and_is_then_the_longer_study(
    whole: Path, study_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    short = ("--search.generations", "1", "--refine.epochs", "0")
    assert call("evolve", "--config", study_file, "--out", folder, *short).returncode == 0
    longer = call("resume", folder, "--search.generations", "2", "--refine.epochs", "2")
    assert longer.returncode == 0
    assert f"{folder}: 1 generation before, 2 from now on, and no fewer again" in longer.stderr
    assert (folder / "table.json").read_text() == (whole / "table.json").read_text()
    assert history(folder) == history(whole) | {"test_looks": 2}
    done = call("resume", folder, "--search.generations", "1")
    assert done.returncode == 2
    assert f"search.generations, in {folder}" in done.stderr


def test_a_study_that_has_begun_keeps_its_settings(tmp_path: Path) -> None:
    config_file.write(StudyConfig(), tmp_path / "study.yaml")
    before = (tmp_path / "study.yaml").read_text()
    for words, said in (
        (["--training.gm_weight", "3"], ("training.gm_weight", "1.0", "3.0")),
        (["--search.limits.flops", "5"], ("search.limits.flops",)),
        (["--seed", "1"], ("seed",)),
    ):
        done = call_here("resume", tmp_path, *words)
        assert done.returncode == 2
        for word in said:
            assert word in done.stderr
    assert (tmp_path / "study.yaml").read_text() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named_before_anything_is_written(tmp_path: Path) -> None:
    refused(tmp_path, "--data.source", "digits", "--device", "cuda", said=("device", "cuda", "cpu"))
    config_file.write(StudyConfig(data=DataSettings(source="digits")), tmp_path / "study.yaml")
    before = (tmp_path / "study.yaml").read_text()
    assert call_here("resume", tmp_path, "--device", "cuda").returncode == 2
    assert (tmp_path / "study.yaml").read_text() == before


def test_a_class_too_small_to_be_divided_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = npz(tmp_path, y_train=np.array([3] + [0, 1, 2] * 6 + [0]))
    refused(tmp_path, "--data.source", "npz", "--data.path", str(path), said=("class 3",))


def test_an_edited_study_file_is_named_by_its_key(tmp_path: Path) -> None:
    config = StudyConfig(data=DataSettings(source="digits"))
    with SqliteMemo(tmp_path / "study.db") as memo:
        memo.set_meta("settings", json.dumps(config_file.dotted(config)))
    config_file.write(replace(config, seed=5), tmp_path / "study.yaml")
    for verb in ("show", "resume"):
        done = call_here(verb, tmp_path)
        assert done.returncode == 2, done.stdout
        assert "seed" in done.stderr
        assert "0, not 5" in done.stderr
    config_file.write(replace(config, workers=5), tmp_path / "study.yaml")
    assert call_here("show", tmp_path).returncode == 0


def npz(folder: Path, **changes: object) -> Path:
    arrays: dict[str, object] = {
        "x_train": np.zeros((20, 6, 6), np.uint8),
        "y_train": np.arange(20) % 4,
        "x_test": np.zeros((8, 6, 6), np.uint8),
        "y_test": np.arange(8) % 4,
    }
    path = folder / "data.npz"
    np.savez(path, **(arrays | changes))  # type: ignore[arg-type]
    return path


WRONG_DATA: list[tuple[dict[str, object], str]] = [
    ({"x_train": np.zeros((20, 6, 6, 4), np.uint8)}, "x_train"),
    ({"x_train": np.full((20, 6, 6), 1.5)}, "x_train"),
    ({"x_train": np.full((20, 6, 6), np.nan)}, "x_train"),
    ({"x_test": np.zeros((8, 7, 6), np.uint8)}, "x_test"),
    ({"y_train": np.arange(19) % 4}, "y_train"),
    ({"y_train": np.arange(20) % 4 - 1}, "y_train"),
    ({"y_test": np.full(8, 4)}, "y_test"),
    ({"y_train": np.arange(20) % 4 * 1.0}, "y_train"),
]


@pytest.mark.parametrize(("changes", "named"), WRONG_DATA)
def test_wrong_data_is_named_and_nothing_is_written(
    changes: dict[str, object], named: str, tmp_path: Path
) -> None:
    path = npz(tmp_path, **changes)
    refused(tmp_path, "--data.source", "npz", "--data.path", str(path), said=(str(path), named))


def refused(tmp_path: Path, *words: str, said: tuple[str, ...]) -> None:
    """The command exits with 2, says these words, shows no traceback and writes no run folder."""
    folder = tmp_path / "run"
    done = call_here("evolve", "--out", folder, *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in said:
        assert word in done.stderr
    assert not folder.exists()


def test_files_that_are_no_npz_are_named(tmp_path: Path) -> None:
    whole = npz(tmp_path).read_bytes()
    for name, content in (("none.npz", None), ("text.npz", b"hello"), ("cut.npz", whole[:200])):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        refused(tmp_path, "--data.source", "npz", "--data.path", str(path), said=(str(path),))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--training.batch_size", "1"], ("training.batch_size", "2 or more")),
        (["--search.generatons", "3"], ("search.generatons", "search.generations")),
        (["--search.generations", "many"], ("search.generations", "a whole number")),
        (["--attack.epsilon", "8/0"], ("attack.epsilon",)),
        (["--attack.epsilon", "8"], ("attack.epsilon", "8/255")),
        (["--search.minimum_distance", "40"], ("search.minimum_distance",)),
        (["--reference.factory", "nowhere:make"], ("reference.factory", "nowhere")),
        (["--reference.weights", "missing.safetensors"], ("reference.weights", "missing.safetensors")),
        (["--config", "missing.yaml"], ("missing.yaml",)),
    ],
)
def test_wrong_settings_are_named(words: list[str], said: tuple[str, ...], tmp_path: Path) -> None:
    refused(tmp_path, "--data.source", "digits", *words, said=said)


def test_a_wrong_key_in_a_study_file_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("serch: {generations: 3}\n")
    refused(tmp_path, "--config", str(path), said=(str(path), "serch", "search"))


def test_a_reference_with_the_wrong_number_of_classes_is_named(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))\n"
    )
    said = ("nets:make", "7", "10 classes")
    refused(tmp_path, "--data.source", "digits", "--reference.factory", "nets:make", said=said)


UNUSABLE = {
    "frozen": "net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)",
    "empty": "net = nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10))",
    "nan": "net = LINEAR; nn.init.constant_(net[1].weight, float('nan'))",
    "zero": "net = LINEAR; nn.init.zeros_(net[1].weight)",
    "cut": "net = nn.Sequential(nn.Flatten(), Cut(), nn.Linear(64, 10))",
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_reference_that_cannot_be_used_is_named_before_anything_is_written(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\nLINEAR = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n\n"
        "class Cut(nn.Module):\n    def forward(self, x):\n        return x.detach()\n\n"
        f"def make():\n    {UNUSABLE[kind]}\n    return net\n"
    )
    refused(tmp_path, "--data.source", "digits", "--reference.factory", "nets:make", said=("nets:make",))


@pytest.mark.slow
def test_a_reference_with_frozen_layers_is_trained_where_it_is_not_frozen(
    tmp_path: Path, study_file: Path
) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\ndef make():\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))\n"
        "    net[1].requires_grad_(False)\n    return net\n"
    )
    short = ("--search.generations", "0", "--refine.epochs", "0")
    words = ("--reference.factory", "nets:make", *short)
    done = call("evolve", "--config", study_file, "--out", "run", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("out", ["file/run", "/proc/nowhere/run"])
def test_a_run_folder_that_cannot_be_made_is_named(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused_out = call_here("evolve", "--data.source", "digits", "--out", out, cwd=tmp_path)
    assert refused_out.returncode == 2, refused_out.stderr
    assert out in refused_out.stderr
    assert "Traceback" not in refused_out.stderr


def test_a_full_disk_leaves_no_run_folder(tmp_path: Path) -> None:
    with small_disk(tmp_path, 24) as disk:
        fill(disk)
        done = call_here("evolve", "--data.source", "digits", "--out", disk / "run")
        assert done.returncode == 2, done.stderr
        assert "No space" in done.stderr
        assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_options_before_the_run_folder_are_refused(tmp_path: Path) -> None:
    for words in (("resume", "--workers", "2", tmp_path), ("audit", "--seed", "1", tmp_path)):
        done = call_here(*words)
        assert done.returncode == 2
        assert "comes before the settings" in done.stderr


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    config_file.write(StudyConfig(data=DataSettings(source="digits")), tmp_path / "study.yaml")
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("pragma user_version = 99")
    for verb in ("resume", "show"):
        done = call_here(verb, tmp_path)
        assert done.returncode == 2, done.stderr
        assert "99" in done.stderr
        assert "study.db" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_run_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = call_here("evolve", "--data.source", "digits", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "contragrad resume" in done.stderr
    assert not list((tmp_path / "run").iterdir())


def test_resume_and_show_name_a_folder_without_a_study(tmp_path: Path) -> None:
    for verb in ("resume", "show"):
        done = call_here(verb, tmp_path)
        assert done.returncode == 2
        assert str(tmp_path) in done.stderr


@pytest.mark.slow
def test_a_users_own_reference_and_weights(tmp_path: Path, study_file: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    script = (
        "import torch; from safetensors.torch import save_file; from nets import make; torch.manual_seed(0);"
        "save_file(make().state_dict(), 'mine.safetensors')"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    words = ("--reference.factory", "nets:make", "--reference.weights", "mine.safetensors")
    short = ("--search.generations", "0", "--refine.epochs", "0")
    done = call("evolve", "--config", study_file, "--out", "run", *words, *short, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "table.json").read_text())
    assert rows[0]["parameters"] == 650
