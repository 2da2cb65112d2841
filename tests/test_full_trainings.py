"""The networks of Table 4: which are trained, for how long and from which streams, and whose rows remain."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from contragrad.data.dataset import Examples, Splits
from contragrad.engine.executors import Event, Finished, Progressed
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member, State
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Abandoned, Infeasible, Measured, Outcome, Trial
from contragrad.fingerprint import stream_seed
from contragrad.fitness import trial_seed
from contragrad.jobs.curve import Curve
from contragrad.jobs.full_trainings import final_trainings, measure, planned_trainings, train
from contragrad.jobs.recipes import UNDEFENDED
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import task_name
from contragrad.networks.architectures import HAND_ENGINEERED, construct
from contragrad.run_folder.contents import normalisation
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.watch.lines import lines
from strategies import outcomes, small_settings

TINY = Problem(1, 8, 8, 3)


def workspace(*overrides: str, folder: Path = Path("nowhere")) -> Workspace:
    config = config_file.read(None, ["--device=cpu", "--search.population=6", *overrides])
    return Workspace(folder=folder, config=config, data="the data", problem=TINY, weights=None)


def trial(number: int, epochs: int = 20) -> Trial:
    """The trial of a genome that is told by the number."""
    return Trial(parse(f"conv({number},3) fc(4)"), epochs)


def after_search(*population: tuple[Trial, Outcome]) -> State:
    """A search's end with these in its slots."""
    members = tuple(Member(*member) for member in population)
    initial = tuple(member.trial.genome for member in members)
    return State(small_settings(population=len(members)), TINY, 0, initial, members, generation=3)


def fit(fitness: float) -> Measured:
    return Measured(fitness, 1.0)


def evolved(trainings: Sequence[FullTraining]) -> list[str]:
    return [task.architecture for task in trainings if task.name.startswith("NE")]


def texts(*numbers: int) -> list[str]:
    return [str(trial(number).genome) for number in numbers]


def test_the_baselines_come_first_and_the_best_networks_follow_by_fitness() -> None:
    state = after_search((trial(1), fit(0.2)), (trial(2), fit(0.8)), (trial(3), fit(0.5)))
    found = final_trainings(workspace("--refine.networks=2"), state)
    assert [task.name for task in found] == ALL_ROWS
    assert evolved(found) == texts(2, 3)
    assert found[0].architecture == str(HAND_ENGINEERED["hand-engineered-a"])
    assert found[1].architecture == str(HAND_ENGINEERED["hand-engineered-b"])
    assert [task.objective for task in found] == ["gm"] * 4 + ["cross-entropy"]
    assert {task.keep for task in found} == {"last"}
    best = final_trainings(workspace("--refine.keep=best"), state)
    assert [task.keep for task in best] == ["best"] * 4 + ["last"]


def test_the_baseline_of_the_reference_is_the_study_s_own_reference() -> None:
    state = after_search((trial(1), fit(0.2)))
    for override, text in (
        ("--reference.architecture=resnet18", "torchvision resnet18"),
        ("--reference.factory=mine:make", "factory mine:make"),
    ):
        found = final_trainings(workspace("--refine.networks=1", override), state)
        assert (found[0].name, found[0].architecture) == ("reference+GM", text)


def test_fitness_is_the_smaller_accuracy() -> None:
    state = after_search(
        (trial(1), Measured(0.9, 0.1)), (trial(2), Measured(0.3, 0.4)), (trial(3), Measured(0.2, 1.0))
    )
    assert evolved(final_trainings(workspace("--refine.networks=3"), state)) == texts(2, 3, 1)


def test_ties_keep_the_order_of_the_slots() -> None:
    state = after_search(*((trial(number), fit(0.5)) for number in (3, 1, 4, 2)))
    assert evolved(final_trainings(workspace("--refine.networks=3"), state)) == texts(3, 1, 4)


@given(st.lists(outcomes(), min_size=1, max_size=6), st.integers(1, 6))
def test_the_networks_are_the_best_in_order_and_no_better_one_is_left_out(
    found: list[Outcome], networks: int
) -> None:
    state = after_search(*((trial(number), outcome) for number, outcome in enumerate(found, start=1)))
    ranked = evolved(final_trainings(workspace(f"--refine.networks={networks}"), state))
    numbers = {text: number for number, text in enumerate(texts(*range(1, len(found) + 1)))}
    ranks = [(-found[numbers[text]].fitness, numbers[text]) for text in ranked]
    bearable = [(-each.fitness, slot) for slot, each in enumerate(found) if not isinstance(each, Abandoned)]
    assert ranks == sorted(bearable)[:networks]


def test_infeasible_candidates_come_last() -> None:
    state = after_search(
        (trial(1), Infeasible("diverged: early")), (trial(2), fit(0.0)), (trial(3), Infeasible("a"))
    )
    assert evolved(final_trainings(workspace("--refine.networks=1"), state)) == texts(2)
    assert evolved(final_trainings(workspace("--refine.networks=3"), state))[0] == texts(2)[0]


def test_all_are_trained_as_long_as_the_longest_of_the_refined_and_its_refinement() -> None:
    state = after_search(
        (trial(1, epochs=20), fit(0.6)), (trial(2, epochs=25), fit(0.5)), (trial(3, epochs=40), fit(0.4))
    )
    for networks, epochs in ((1, 27), (2, 32), (3, 47)):
        found = final_trainings(workspace(f"--refine.networks={networks}", "--refine.epochs=7"), state)
        assert {task.epochs for task in found if task.name != UNDEFENDED} == {epochs}
        assert found[-1].epochs == 50, "as the reference is"
    found = final_trainings(workspace("--refine.networks=1", "--refine.epochs=0"), state)
    assert {task.epochs for task in found[:-1]} == {20}


def test_an_evolved_network_is_trained_from_the_streams_of_its_evaluation() -> None:
    first, second = trial(1), replace(trial(2), replicate=3)
    found = final_trainings(workspace(), after_search((first, fit(0.6)), (second, fit(0.5))))
    assert [task.seed for task in found[2:4]] == [trial_seed(first), trial_seed(second)]
    other = final_trainings(workspace("--seed=1"), after_search((first, fit(0.6)), (second, fit(0.5))))
    assert [task.seed for task in other[2:4]] == [task.seed for task in found[2:4]]


def test_the_baselines_have_streams_of_their_own_by_the_study_s_seed() -> None:
    state = after_search((trial(1), fit(0.6)))
    seeds = [task.seed for seed in (0, 1) for task in final_trainings(workspace(f"--seed={seed}"), state)[:2]]
    # Trained networks are found by them again.
    assert seeds[:2] == [
        stream_seed(0, "baseline", "reference"),
        stream_seed(0, "baseline", "hand-engineered"),
    ]
    assert len(set(seeds)) == 4


def test_what_else_stands_in_the_population_names_no_network_anew() -> None:
    there = workspace("--refine.networks=1")
    alone = final_trainings(there, after_search((trial(1), fit(0.6))))
    beside = final_trainings(there, after_search((trial(2, epochs=40), fit(0.5)), (trial(1), fit(0.6))))
    assert beside == alone


# Training them, by somebody who only says that it is done.


@dataclass
class Clerk:
    """An executor that trains nothing, and finds the named networks infeasible."""

    there: Workspace
    infeasible: tuple[str, ...] = ()
    slots: int = 2
    taken: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def offer(self, key: str, task: object) -> bool:
        assert isinstance(task, FullTraining)
        assert key == task_name(task, self.there)
        if len(self.running) >= self.slots or key in self.running:
            return False
        self.taken.append(task.name)
        self.running.append(key)
        result = {"infeasible": "diverged"} if task.name in self.infeasible else {"network": key}
        self.events += [Progressed(key, {"epoch": 1.0, "epochs": 2.0}), Finished(key, dict(result), 1.0)]
        return True

    def wait(self) -> list[Event]:
        assert self.events, "the driver waits for nothing"
        events, self.events, self.running = self.events, [], []
        return events

    def close(self) -> None:
        pass


def trained(clerk: Clerk, state: State) -> tuple[list[str], str]:
    """The names of the networks that are there after training, and what a person was told."""
    said = io.StringIO()
    with lines(Console(file=said, width=200)) as watch:
        found = train(clerk.there, planned_trainings(clerk.there, state), clerk, watch)
    return [task.name for task in found], said.getvalue()


ALL_ROWS = ["reference+GM", "hand-engineered+GM", "NE+GM 1", "NE+GM 2", UNDEFENDED]


def test_every_network_is_trained_and_kept_in_order(tmp_path: Path) -> None:
    clerk = Clerk(workspace(folder=tmp_path))
    state = after_search((trial(1), fit(0.6)), (trial(2), fit(0.5)))
    assert trained(clerk, state)[0] == ALL_ROWS
    assert clerk.taken == ALL_ROWS


@pytest.mark.parametrize("left_out", [("NE+GM 1",), ("reference+GM", "NE+GM 2"), tuple(ALL_ROWS)], ids=str)
def test_a_network_whose_training_diverges_is_left_out_and_named(
    left_out: tuple[str, ...], tmp_path: Path
) -> None:
    clerk = Clerk(workspace(folder=tmp_path), infeasible=left_out)
    found, said = trained(clerk, after_search((trial(1), fit(0.6)), (trial(2), fit(0.5))))
    assert found == [name for name in ALL_ROWS if name not in left_out]
    for name in ALL_ROWS:
        assert (f"{name} is left out: diverged" in said) == (name in left_out)
        assert (f"{name} diverged after 1 s" in said) == (name in left_out)
        assert (f"trained {name} in 1 s" in said) != (name in left_out)


def test_whether_a_curve_became_flat_is_said_where_the_training_was_to_end_by_that(tmp_path: Path) -> None:
    there = workspace("--refine.keep=best", "--refine.patience=2", folder=tmp_path)
    state = after_search((trial(1), fit(0.6)), (trial(2), fit(0.5)))
    curves = {"NE+GM 1": [0.1, 0.3, 0.2, 0.3], "NE+GM 2": [0.1, 0.3, 0.2], UNDEFENDED: [0.3, 0.2, 0.2]}
    for task in planned_trainings(there, state):
        if fitness := curves.get(task.name):
            known = Curve([0.5] * len(fitness), [nan] * len(fitness), fitness)
            there.artefacts.save("curve", task_name(task, there), known.tensors())
    _, said = trained(Clerk(there), state)
    assert "trained NE+GM 1 in 1 s, its curve flat after 4 epochs\n" in said
    assert "trained NE+GM 2 in 1 s, its curve not flat yet\n" in said
    assert f"trained {UNDEFENDED} in 1 s\n" in said
    assert "trained reference+GM in 1 s\n" in said, "nothing is known of its curve"


def test_what_is_known_to_diverge_is_not_trained_again_and_said_to_be_left_out(tmp_path: Path) -> None:
    there = workspace(folder=tmp_path)
    state = after_search((trial(1), fit(0.6)), (trial(2), fit(0.5)))
    first = planned_trainings(there, state)[2]
    reason = torch.tensor(list(b"diverged: early"), dtype=torch.uint8)
    there.artefacts.save("diverged", task_name(first, there), {"reason": reason})
    assert [task.name for task in planned_trainings(there, state)] == ALL_ROWS
    rows = [name for name in ALL_ROWS if name != "NE+GM 1"]
    assert [task.name for task in final_trainings(there, state)] == rows
    clerk = Clerk(there)
    found, said = trained(clerk, state)
    assert (found, clerk.taken) == (rows, rows)
    assert "NE+GM 1 is left out: diverged: early" in said


def test_what_is_trained_already_is_not_trained_again(tmp_path: Path) -> None:
    there = workspace(folder=tmp_path)
    state = after_search((trial(1), fit(0.6)), (trial(2), fit(0.5)))
    tasks = {task.name: task for task in final_trainings(there, state)}
    for name in ("reference+GM", "NE+GM 2"):
        there.artefacts.save("network", task_name(tasks[name], there), {"weight": torch.zeros(1)})
    clerk = Clerk(there)
    assert trained(clerk, state)[0] == ALL_ROWS
    assert clerk.taken == ["hand-engineered+GM", "NE+GM 1", UNDEFENDED]


def test_two_slots_with_the_same_genome_are_trained_once_and_both_have_a_row(tmp_path: Path) -> None:
    clerk = Clerk(workspace(folder=tmp_path))
    state = after_search((trial(1, epochs=20), fit(0.6)), (trial(1, epochs=25), fit(0.5)))
    assert evolved(final_trainings(clerk.there, state)) == texts(1, 1)
    assert trained(clerk, state)[0] == ALL_ROWS
    assert len(clerk.taken) == 4
    assert clerk.taken[:2] == ALL_ROWS[:2]


def test_a_network_in_two_slots_that_diverges_loses_both_rows(tmp_path: Path) -> None:
    clerk = Clerk(workspace(folder=tmp_path), infeasible=("NE+GM 1", "NE+GM 2"))
    state = after_search((trial(1), fit(0.6)), (trial(1), fit(0.5)))
    found, said = trained(clerk, state)
    assert found == ["reference+GM", "hand-engineered+GM", UNDEFENDED]
    assert "NE+GM 1 is left out" in said
    assert "NE+GM 2 is left out" in said


def test_the_table_has_the_reference_and_then_each_trained_network_by_its_own_weights(tmp_path: Path) -> None:
    there = workspace(folder=tmp_path)
    labels = torch.arange(9) % 3
    examples = Examples(torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(0)), labels)
    splits = Splits(examples, examples, examples)

    def store(name: str, text: str, answer: int) -> None:
        """A network that answers the same to every image."""
        weights = construct(text, TINY, normalisation(examples), seed=0).state_dict()
        weights["network.head.3.weight"].zero_()
        weights["network.head.3.bias"].copy_(torch.eye(3)[answer])
        there.artefacts.save("network", name, dict(weights))

    store(there.reference_name, str(HAND_ENGINEERED["hand-engineered-a"]), 0)
    there.artefacts.save("adversarial", there.adversarial_name("test"), {"adversarial": examples.images})
    splits = replace(splits, test=Examples(examples.images, torch.tensor([0] * 5 + [1] * 3 + [2])))
    state = after_search((trial(1), fit(0.6)), (trial(2), fit(0.5)))
    tasks = final_trainings(there, state)[2:4]
    for answer, task in enumerate(tasks, start=1):
        store(task_name(task, there), task.architecture, answer)
    rows = measure(there, splits, tasks)
    assert [row.name for row in rows] == ["reference", "NE+GM 1", "NE+GM 2"]
    assert [row.clean_accuracy for row in rows] == [5 / 9, 3 / 9, 1 / 9]
    assert [row.adversarial_accuracy for row in rows] == [5 / 9, 3 / 9, 1 / 9]
    assert [row.architecture for row in rows[1:]] == texts(1, 2)
