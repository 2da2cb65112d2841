"""A search as steps: who came of whom, whose place it took, and who is not bettered by anyone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from contragrad.engine.study import Told
from contragrad.evolution.search import State
from contragrad.evolution.trial import Abandoned, Infeasible, Measured, Outcome, Stopped, Trial
from contragrad.jobs.recipes import best

Fate = Literal["initial candidate", "accepted", "rejected", "stopped early", "infeasible", "given up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A trial that the search was told the outcome of.

    Args:
        number: in the search's order, from 1.
        generation: 0 for an initial candidate.
        slot: from 1: that of the candidate it was mutated from, an initial candidate's own.
        time: where it stands among the generations: the third of six trials of generation 2 at 2.5.
        trial: what was trained.
        outcome: what came of it.
        parent: the step it was mutated from; None if it was drawn.
        took: the slot that it took, from 1; None if it was rejected.
        replaced: the step that stood there.
        until: the step that took its place; None if none did.
    """

    number: int
    generation: int
    slot: int
    time: float
    trial: Trial
    outcome: Outcome
    parent: int | None = None
    took: int | None = None
    replaced: int | None = None
    until: int | None = None

    @property
    def fate(self) -> Fate:
        """What became of it at once."""
        match self.outcome:
            case Infeasible():
                return "infeasible"
            case Abandoned():
                return "given up"
            case Stopped():
                return "stopped early"
            case Measured():
                kept: Fate = "accepted" if self.generation else "initial candidate"
                return "rejected" if self.took is None else kept


def steps(told: Sequence[Told]) -> tuple[Step, ...]:
    """The steps of a search, in its order."""
    found: list[Step] = []
    standing: list[int] = []
    parents: list[int] = []
    for number, event in enumerate(told, start=1):
        before = event.before
        settings = before.settings
        if before.generation == 0:
            standing.append(number)
            found.append(
                Step(
                    number=number,
                    generation=0,
                    slot=number,
                    time=number / len(before.initial),
                    trial=event.trial,
                    outcome=event.outcome,
                    took=number,
                )
            )
            continue
        if before.child == 0 and (before.slot == 0 or settings.schedule == "sequential"):
            parents = list(standing)
        place = _changed(event)
        replaced = None if place is None else standing[place]
        if place is not None and replaced is not None:
            found[replaced - 1] = replace(found[replaced - 1], until=number)
            standing[place] = number
        done = before.slot * settings.children + before.child + 1
        found.append(
            Step(
                number=number,
                generation=before.generation,
                slot=before.slot + 1,
                time=before.generation + done / (len(before.population) * settings.children),
                trial=event.trial,
                outcome=event.outcome,
                parent=parents[before.slot] if settings.variation == "mutation" else None,
                took=None if place is None else place + 1,
                replaced=replaced,
            )
        )
    return tuple(found)


def _changed(event: Told) -> int | None:
    """The place in the population that the outcome changed."""
    pairs = zip(event.before.population, event.after.population, strict=True)
    return next((place for place, (before, after) in enumerate(pairs) if before is not after), None)


def winners(found: Sequence[Step], state: State, count: int) -> tuple[Step, ...]:
    """The best of the population that stands, as refinement takes them."""
    standing = {step.took: step for step in found if step.took is not None and step.until is None}
    places = {id(member): place for place, member in enumerate(state.population, start=1)}
    return tuple(standing[places[id(member)]] for member in best(state.population, count))


def ancestry(found: Sequence[Step], step: Step) -> tuple[Step, ...]:
    """A step's line of parents from the first to itself."""
    line = [step]
    while line[-1].parent is not None:
        line.append(found[line[-1].parent - 1])
    return tuple(reversed(line))


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """The places of the points that no other betters: none is as large in both and larger in one.

    By the first coordinate, ascending; equal points are in or out together.
    """
    order = sorted(range(len(points)), key=lambda place: points[place], reverse=True)
    kept: list[int] = []
    for place in order:
        if not kept or points[place][1] > points[kept[-1]][1] or points[place] == points[kept[-1]]:
            kept.append(place)
    return tuple(reversed(kept))
