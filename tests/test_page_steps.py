"""A search as steps: who came of whom, whose place it took, who is best, and who is not bettered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.engine.study import Told
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member, State, ask, start, tell
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Stopped, Trial
from contragrad.jobs.recipes import best
from contragrad.page.steps import Step, ancestry, front, steps, winners
from contragrad.run_folder.history import placement
from contragrad.settings.search import SearchSettings
from strategies import CIFAR, of, outcomes, search_settings, small_settings


def member(number: int, fitness: float | Outcome) -> Member:
    outcome = Measured(fitness, 1.0) if isinstance(fitness, float) else fitness
    return Member(Trial(parse(f"conv({number},3) fc(4)"), 2), outcome)


class Tale:
    """A history made by hand: who is told, and which slot it takes."""

    def __init__(self, settings: SearchSettings) -> None:
        self.told: list[Told] = []
        initial = tuple(parse("conv(1,3) fc(4)") for _ in range(settings.population))
        self.state = State(settings, CIFAR, 0, initial)

    def initial(self, newcomer: Member) -> None:
        self._to(newcomer, replace(self.state, population=(*self.state.population, newcomer)))

    def child(self, newcomer: Member, place: tuple[int, int, int], takes: int | None) -> None:
        """Of generation, slot and child (from 1, 0 and 0) `place`; slots are counted from 0."""
        generation, slot, child = place
        before = replace(self.state, generation=generation, slot=slot, child=child)
        population = list(before.population)
        if takes is not None:
            population[takes] = newcomer
        self.state = before
        self._to(newcomer, replace(before, population=tuple(population)))

    def _to(self, newcomer: Member, after: State) -> None:
        self.told.append(Told(newcomer.trial, newcomer.outcome, self.state, after))
        self.state = after


def tale(schedule: str) -> tuple[Step, ...]:
    settings = small_settings(population=2, children=2, generations=2, schedule=schedule)
    story = Tale(settings)
    story.initial(member(1, 0.1))  # 1, slot 1
    story.initial(member(2, 0.2))  # 2, slot 2
    story.child(member(3, 0.3), (1, 0, 0), 1)  # 3 takes slot 2 from 2
    story.child(member(4, 0.0), (1, 0, 1), None)  # 4 is rejected
    story.child(member(5, 0.5), (1, 1, 0), 0)  # 5 takes slot 1 from 1
    story.child(member(6, Infeasible("large")), (1, 1, 1), None)
    story.child(member(7, 0.7), (2, 0, 0), 0)  # 7 takes slot 1 from 5
    story.child(member(8, Stopped(1, 0.1)), (2, 0, 1), None)
    return steps(story.told)


def test_a_lineage_made_by_hand() -> None:
    found = tale("sequential")
    assert [step.number for step in found] == list(range(1, 9))
    # Slot 2's turn came when 3 stood there; in generation 2 slot 1 belonged to 5.
    assert [step.parent for step in found] == [None, None, 1, 1, 3, 3, 5, 5]
    assert [step.took for step in found] == [1, 2, 2, None, 1, None, 1, None]
    assert [step.replaced for step in found] == [None, None, 2, None, 1, None, 5, None]
    assert [step.until for step in found] == [5, 3, None, None, 7, None, None, None]
    assert [step.slot for step in found] == [1, 2, 1, 1, 2, 2, 1, 1]
    assert [step.time for step in found] == [0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5]
    assert [step.fate for step in found] == [
        "initial candidate",
        "initial candidate",
        "accepted",
        "rejected",
        "accepted",
        "infeasible",
        "accepted",
        "stopped early",
    ]
    assert [step.number for step in ancestry(found, found[6])] == [1, 3, 5, 7]


def test_with_the_schedule_of_generations_parents_are_those_of_its_beginning() -> None:
    found = tale("generation")
    assert [step.parent for step in found] == [None, None, 1, 1, 2, 2, 5, 5]
    assert [step.number for step in ancestry(found, found[6])] == [2, 5, 7]


@st.composite
def searches(draw: st.DrawFn) -> list[Told]:
    """What a search was told, some way or to its end."""
    state = start(draw(search_settings()), CIFAR, draw(st.integers(0, 99)))
    told = []
    for drawn in draw(st.lists(outcomes(), min_size=1, max_size=30)):
        if state.finished:
            break
        trial = ask(state)
        outcome = of(trial, drawn)
        after = tell(state, trial, outcome)
        told.append(Told(trial, outcome, state, after))
        state = after
    return told


@given(searches())
def test_steps_tell_what_the_search_did(told: list[Told]) -> None:
    found = steps(told)
    last = told[-1].after
    assert len(found) == len(told)
    for step, event in zip(found, told, strict=True):
        before = event.before
        if before.generation and before.settings.variation == "mutation":
            assert step.parent is not None
            assert found[step.parent - 1].trial.genome == before.parents[before.slot]
            assert step.parent < step.number
        else:
            assert step.parent is None
        if before.generation:
            said = "rejected" if step.took is None else f"replaces candidate {step.took}"
            assert placement(event).endswith(said)
            assert step.generation <= step.time - 1e-9 <= step.generation + 1
        if step.until is not None:
            assert found[step.until - 1].replaced == step.number
            assert found[step.until - 1].took == step.took
    standing = {step.took: step for step in found if step.took is not None and step.until is None}
    assert [standing[slot].trial for slot in range(1, len(last.population) + 1)] == [
        each.trial for each in last.population
    ]
    assert [step.time for step in found] == sorted(step.time for step in found)


@given(searches(), st.integers(1, 4))
def test_winners_are_those_that_refinement_takes(told: list[Told], count: int) -> None:
    state = told[-1].after
    chosen = winners(steps(told), state, count)
    assert [(step.trial, step.outcome) for step in chosen] == [
        (each.trial, each.outcome) for each in best(state.population, count)
    ]


POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12).map(
    lambda points: [(x / 5, y / 5) for x, y in points]
)


@given(POINTS)
def test_the_front_is_what_nobody_betters(points: list[tuple[float, float]]) -> None:
    def bettered(own: tuple[float, float]) -> bool:
        return any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in points)

    found = front(points)
    assert sorted(found) == [place for place, point in enumerate(points) if not bettered(point)]
    assert [points[place][0] for place in found] == sorted(points[place][0] for place in found)
    assert [points[place][1] for place in found] == sorted(
        (points[place][1] for place in found), reverse=True
    )


@pytest.mark.parametrize(
    ("points", "expected"),
    [([], ()), ([(0.5, 0.5)], (0,)), ([(0.1, 0.9), (0.9, 0.1), (0.4, 0.4), (0.5, 0.5)], (0, 3, 1))],
)
def test_fronts_by_hand(points: list[tuple[float, float]], expected: tuple[int, ...]) -> None:
    assert front(points) == expected
