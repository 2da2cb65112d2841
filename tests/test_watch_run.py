"""A real study, killed and resumed, as scripts and TensorBoard have it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from contragrad.jobs.recipes import UNDEFENDED

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STUDY = {
    "device": "cpu",
    "workers": 2,
    "data": {"source": "digits"},
    "reference": {"epochs": 1},
    "search": {
        "generations": 1,
        "epochs": 2,
        "channels": [8],
        "hidden": 16,
        "initial_blocks_max": 8,
        "limits": {"flops": 200_000},
    },
    "refine": {"epochs": 2, "checkpoint_every": 1},
}
TOTAL = 4 + 4 * 2


def command(*words: str | Path) -> list[str]:
    watched = ("--json", "--tensorboard")
    return [sys.executable, "-m", "contragrad.cli", *map(str, words), *watched]


def steps(folder: Path, tag: str) -> list[int]:
    read = EventAccumulator(str(folder))
    read.Reload()
    return [each.step for each in read.Scalars(tag)]


@pytest.mark.slow
def test_a_killed_and_resumed_study_is_watched_as_one_that_was_left_alone(tmp_path: Path) -> None:
    study, folder = tmp_path / "study.yaml", tmp_path / "run"
    study.write_text(yaml.safe_dump(STUDY))
    begun: list[dict[str, Any]] = []
    with subprocess.Popen(
        command("evolve", "--config", study, "--out", folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            begun.append(json.loads(line))
            if begun[-1].get("evaluation") == 5:
                process.kill()
                break
    searched = folder / "tensorboard" / "search"
    # Scripts are told before TensorBoard is.
    assert steps(searched, "fitness/best") in ([1, 2, 3, 4], [1, 2, 3, 4, 5])

    done = subprocess.run(command("resume", folder), capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "table"
    assert events[-1]["table"] == json.loads((folder / "table.json").read_text())
    told = [event for event in events if event["event"] == "evaluation"]
    assert [event["evaluation"] for event in told] == list(range(1, TOTAL + 1))
    before = [event for event in begun if event["event"] == "evaluation"]
    assert [event | {"time": ""} for event in told[:5]] == [event | {"time": ""} for event in before[:5]]

    assert steps(searched, "fitness/best") == list(range(1, TOTAL + 1))
    children = list((folder / "tensorboard" / "children").iterdir())
    assert len(children) >= len({event["genome"] for event in told if "clean_accuracy" in event["outcome"]})
    assert all(steps(child, "cross_entropy") in ([1], [1, 2]) for child in children)
    networks = {
        path.name: steps(path, "cross_entropy") for path in (folder / "tensorboard" / "networks").iterdir()
    }
    assert networks.pop("reference") == [1]
    assert set(networks) == {row["name"] for row in events[-1]["table"]} - {"reference"}
    assert networks.pop(UNDEFENDED) == [1], "it is trained as the reference is"
    assert all(epochs == [1, 2, 3, 4] for epochs in networks.values())
