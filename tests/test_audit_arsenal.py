"""How an audit comes by networks that are trained against others: what they take, and what if one fails."""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, vgg16_bn

import contragrad.jobs.material
from contragrad.audit import sources
from contragrad.audit.arsenal import Arsenal, _cause
from contragrad.audit.attempts import Attempt, Named
from contragrad.audit.bouts import fits
from contragrad.audit.runner import Runner
from contragrad.audit.settings import AuditSettings
from contragrad.audit.target import Target
from contragrad.engine.executors import InProcess, TaskFailedError
from contragrad.engine.work import Work
from contragrad.errors import UnusableSourceError, UserError
from contragrad.jobs import full_trainings
from contragrad.jobs.recipes import UNDEFENDED, main_job, ordinary
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import task_name
from contragrad.networks.architectures import construct
from contragrad.networks.objectives import PLAIN_STEP, step_cost
from contragrad.reference import architecture
from contragrad.run_folder.contents import load_splits, normalisation
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import AttackSettings
from contragrad.watch.events import nobody
from test_recipes import FOUND, config
from test_training_sources import digits_of

TEXT = "conv(4,3) fc(8)"
FIRST = sources.surrogate(1)


def armed(arsenal: Arsenal, *, target: Target | None = None, minutes: float | None = None) -> Arsenal:
    """The same for another target, or with less time."""
    return Arsenal(
        workspace=arsenal.workspace,
        splits=arsenal.splits,
        target=target or arsenal.target,
        settings=replace(arsenal.settings, minutes=minutes),
        executor=arsenal.executor,
        watch=nobody,
    )


@pytest.fixture
def arsenal(tmp_path: Path) -> Iterator[Arsenal]:
    """That of an audit of a network that was trained against the reference, another seed and a surrogate."""
    there = digits_of(tmp_path, ("reference", "another-seed", f"surrogate {TEXT}"))
    splits = load_splits(there)
    target = Target(
        name="target",
        network=construct(TEXT, there.problem, normalisation(splits.train), 1).eval(),
        fingerprint="target",
        architecture=TEXT,
        objective="orthogonal",
        epochs=2,
        keep="last",
        seed=1,
        weights=tmp_path,
    )
    with closing(InProcess(Work("contragrad.jobs.tasks:prepare", there))) as executor:
        yield Arsenal(
            workspace=there,
            splits=splits,
            target=target,
            settings=AuditSettings(surrogates=1),
            executor=executor,
            watch=nobody,
        )


def test_an_estimate_counts_the_sources_that_the_attacker_must_train_first(arsenal: Arsenal) -> None:
    own = architecture(arsenal.workspace.config.reference)
    arsenal.paces.known.update({TEXT: 2.0, own: 3.0})
    steps = PLAIN_STEP * len(arsenal.splits.train)
    cores = torch.get_num_threads() / arsenal.executor.slots
    penalised = step_cost("orthogonal")
    alone = steps * 2 * 2.0 * penalised * cores
    sources_too = alone + steps * (3.0 + 2.0 * penalised)
    assert arsenal.seconds_to_have(FIRST) == pytest.approx(sources_too)
    assert arsenal.seconds_to_have(sources.TWIN) == pytest.approx(steps * 2 * 2.0 * cores)
    arsenal.get([FIRST])
    assert arsenal.seconds_to_have(FIRST) == 0
    # Others of the same recipe take the same ones.
    arsenal.paces.known.update({arsenal.tasks[sources.stranger(1)].architecture: 2.0})
    assert arsenal.seconds_to_have(sources.stranger(1)) == pytest.approx(alone)


def test_an_attackers_source_that_diverges_is_left_out_and_the_audit_goes_on(
    arsenal: Arsenal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contragrad.jobs.material, "train_fully", lambda *what, **how: "diverged: in epoch 1")
    arsenal.get([FIRST, sources.TWIN])
    assert sources.TWIN in arsenal.networks
    assert FIRST not in arsenal.networks
    assert arsenal.missing[FIRST] == "the training of another-seed diverged: in epoch 1"
    assert not arsenal.reachable(FIRST)
    assert arsenal.reachable(sources.TWIN)


@pytest.mark.parametrize("error", [UserError("a file is damaged"), UnusableSourceError("no gradients")])
def test_only_a_source_that_cannot_serve_is_left_out(
    arsenal: Arsenal, monkeypatch: pytest.MonkeyPatch, error: UserError
) -> None:
    def fail(*what: object) -> None:
        raise error

    monkeypatch.setattr("contragrad.audit.arsenal.make_material", fail)
    if isinstance(error, UnusableSourceError):
        arsenal.get([FIRST])
        assert arsenal.missing[FIRST] == "no gradients"
        return
    with pytest.raises(UserError, match="damaged"):
        arsenal.get([FIRST])
    assert FIRST not in arsenal.missing


# The ordinary network.


def test_the_ordinary_network_is_that_of_a_runs_table() -> None:
    own = config()
    assert ordinary(own) == main_job("gm", 1)[UNDEFENDED].training(UNDEFENDED, own, FOUND)


def test_who_was_trained_against_another_seed_is_compared_with_one_and_not_attacked_by_it(
    arsenal: Arsenal,
) -> None:
    found = Runner(arsenal=arsenal, begun=time.monotonic())._ordinary()
    assert found is not None
    assert found.fingerprint == task_name(ordinary(arsenal.workspace.config), arsenal.workspace)
    assert not arsenal.reachable(sources.ANOTHER)
    assert arsenal.missing[sources.ANOTHER] == sources.AGAINST
    assert not arsenal.join("together", [sources.ANOTHER, "reference"]), "it is no member either"


def test_the_ordinary_network_itself_is_neither_compared_with_nor_attacked_by_itself(
    arsenal: Arsenal,
) -> None:
    name = task_name(ordinary(arsenal.workspace.config), arsenal.workspace)
    itself = armed(arsenal, target=replace(arsenal.target, fingerprint=name))
    assert itself.missing[sources.ANOTHER] == sources.ITSELF
    assert not itself.reachable(sources.ANOTHER)
    assert Runner(arsenal=itself, begun=time.monotonic())._ordinary() is None


def test_the_ordinary_network_leaves_most_of_the_budget_to_attackers(arsenal: Arsenal) -> None:
    own = architecture(arsenal.workspace.config.reference)
    for minutes, there in ((1000.0, True), (2.0, False)):
        timed = armed(arsenal, minutes=minutes)
        timed.paces.known.update({own: 60.0 / len(arsenal.splits.train), timed.target.fingerprint: 1e-9})
        timed.paces.known.update({timed.workspace.reference_name: 1e-9})
        found = Runner(arsenal=timed, begun=time.monotonic())._ordinary()
        assert (found is not None) == there
        arsenal.workspace.artefacts.remove(
            "network", task_name(timed.tasks[sources.ANOTHER], timed.workspace)
        )


@pytest.mark.parametrize(
    ("inner", "known_as"),
    [(resnet18, "torchvision resnet, factory mine:make"), (vgg16_bn, "factory mine:make")],
)
def test_a_reference_of_anyones_code_is_known_by_torchvisions_skips_in_it(
    inner: Callable[..., nn.Module], known_as: str, arsenal: Arsenal
) -> None:
    config = arsenal.workspace.config
    reference = replace(config.reference, factory="mine:make")
    arsenal.workspace = replace(arsenal.workspace, config=replace(config, reference=reference))
    network = nn.Sequential(nn.Identity(), inner(num_classes=10))
    arsenal.networks["reference"] = Named(network, "theirs")
    text = arsenal.architectures()["reference"]
    assert text == known_as
    attempt = Attempt(source="reference", attack=AttackSettings(name="sgm"))
    assert fits(attempt, text) == (inner is resnet18)


def test_a_training_at_which_somebody_elses_code_fails_costs_that_source_alone(
    arsenal: Arsenal, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = replace(arsenal.tasks[FIRST], architecture="factory mine:make")
    ours = arsenal.tasks[sources.OTHER_ARCHITECTURE]
    failing = [theirs.architecture]

    def train(workspace: Workspace, tasks: Sequence[FullTraining], *_: object) -> tuple[FullTraining, ...]:
        for task in tasks:
            if task.architecture in failing:
                raise TaskFailedError(f"{task_name(task, workspace)}: Traceback\n  line 3\nValueError: odd\n")
        return tuple(tasks)

    monkeypatch.setattr(full_trainings, "train", train)
    assert arsenal._trained([theirs, ours]) == (ours,)
    assert arsenal.missing[FIRST] == "its training failed: ValueError: odd"
    assert FIRST in arsenal.lost
    failing.append(ours.architecture)
    with pytest.raises(TaskFailedError, match="ValueError: odd"):
        arsenal._trained([ours])


def test_of_a_failure_the_line_that_names_it_is_told() -> None:
    def told(message: str) -> str:
        try:
            raise ValueError(message)
        except ValueError:
            return _cause(f"a key: {traceback.format_exc()}")

    assert told("too bright for me") == "ValueError: too bright for me"
    assert told("too bright for me\nhint: another image\n  of these") == "ValueError: too bright for me"
