"""A study of which nearly every network diverges, as a user runs it: it ends, and says so.

Not all diverge: of a network whose gradients vanish nothing is too much. So what is expected is what the
study itself was told.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from contragrad.evolution.trial import Infeasible
from contragrad.jobs.recipes import UNDEFENDED
from contragrad.run_folder.history import load
from test_run import SMALL, call

REASON = "diverged: the loss was not finite in epoch 1"
EVALUATIONS = 4 + 4 * 2
TRAINED = ("reference+GM", "hand-engineered+GM", "NE+GM 1", "NE+GM 2", UNDEFENDED)

Done = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The run folder, and what the command said."""
    place = tmp_path_factory.mktemp("infeasible")
    study_file = place / "study.yaml"
    study_file.write_text(yaml.safe_dump(SMALL))
    words = ("--training.gm_weight", "1e38", "--search.generations", "1", "--workers", "2")
    return place / "run", call("evolve", "--config", study_file, "--out", place / "run", *words)


def infeasible(folder: Path) -> list[bool]:
    """Whether each evaluation was infeasible; most are, and for one reason."""
    outcomes = [event.outcome for event in load(folder).told]
    assert {found.reason for found in outcomes if isinstance(found, Infeasible)} == {REASON}
    found = [isinstance(outcome, Infeasible) for outcome in outcomes]
    assert found.count(True) > EVALUATIONS / 2
    return found


@pytest.mark.slow
def test_a_study_whose_networks_diverge_ends_normally(done: Done) -> None:
    folder, ended = done
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(infeasible(folder)) == EVALUATIONS
    assert ended.stderr.count(f"infeasible: {REASON}; ") == infeasible(folder).count(True)
    state = load(folder).state
    assert state is not None
    assert state.finished


@pytest.mark.slow
def test_its_table_leaves_out_the_networks_that_diverge(done: Done) -> None:
    folder, ended = done
    left_out = [name for name in TRAINED if f"{name} is left out: {REASON}" in ended.stderr]
    assert {"reference+GM", "hand-engineered+GM"} <= set(left_out)
    kept = ["reference", *(name for name in TRAINED if name not in left_out)]
    rows = json.loads((folder / "table.json").read_text())
    assert [row["name"] for row in rows] == kept
    assert not any(name in ended.stdout for name in left_out)
    assert all(name.split(",")[0] in ended.stdout for name in kept), "the table breaks a long name"
    assert len(list(folder.glob("artefacts/network-*"))) == len(kept)
    assert not list(folder.glob("artefacts/checkpoint-*"))


@pytest.mark.slow
def test_show_says_which_are_infeasible_and_why_and_none_of_them_replaces_a_candidate(done: Done) -> None:
    folder, _ = done
    shown = call("show", folder)
    assert shown.returncode == 0, shown.stderr
    lines = [line for line in shown.stdout.splitlines() if line.startswith("[")]
    assert [line.endswith(f"; infeasible: {REASON}") for line in lines] == infeasible(folder)
    for line, failed in zip(lines[4:], infeasible(folder)[4:], strict=True):
        assert "rejected" in line or not failed
    told = json.loads(call("show", folder, "--json").stdout)
    assert told["finished"]
    found = [event["outcome"] == {"infeasible": REASON} for event in told["history"]]
    assert found == infeasible(folder)


@pytest.mark.slow
def test_a_resume_of_it_ends_with_the_same_table(done: Done) -> None:
    folder, _ = done
    before = (folder / "table.json").read_text()
    again = call("resume", folder)
    assert again.returncode == 0, again.stderr
    assert (folder / "table.json").read_text() == before
