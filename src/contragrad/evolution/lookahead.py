"""What a search will need next, found by playing it ahead on guesses.

A wrong guess costs an evaluation and never changes the search, which is told outcomes in its own order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from contragrad.evolution.search import Member, State, ask, closest_place, tell
from contragrad.evolution.trial import Infeasible, Outcome, Trial

GUESS = Infeasible("not known yet")
"""What a lookahead takes an unknown outcome to be: most children lose."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A search played ahead on the guess that trials without a known outcome lose.

    Args:
        state: where the guesses have led.
        bars: the trials guessed at, in the order in which the search needs them, each with the fitness
            above which the guess is wrong.
    """

    state: State
    bars: Mapping[Trial, float] = field(default_factory=dict)

    def holds(self, trial: Trial, outcome: Outcome) -> bool:
        """Whether the guesses still stand now that the trial's outcome is known."""
        return outcome.fitness <= self.bars.get(trial, inf)

    def without(self, trial: Trial) -> "Ahead":
        """The same guesses, of which the one about the trial is now knowledge."""
        return replace(self, bars={other: bar for other, bar in self.bars.items() if other != trial})


def play_ahead(ahead: Ahead, known: Callable[[Trial], Outcome | None], width: int) -> Ahead:
    """Goes on until `width` trials are guessed at, or the search is over.

    Nothing is played again that was played before, so a step costs the same however far ahead it is. It stops
    before a child whose bars depend on an initial candidate that is not known yet: with a guess for them it
    would be another trial than the one that the search will ask for.
    """
    state, bars = ahead.state, dict(ahead.bars)
    while len(bars) < width and not state.finished:
        trial = ask(state)
        outcome = None if trial in bars else known(trial)
        if outcome is None:
            if state.settings.rungs and state.generation:
                opponent = _opponent(state, trial)
                if opponent.outcome is GUESS and opponent.trial in bars:
                    break
            bars[trial] = min(bars.get(trial, inf), _bar(state, trial))
            outcome = GUESS
        state = tell(state, trial, outcome)
    return Ahead(state, bars)


def _bar(state: State, trial: Trial) -> float:
    """The fitness that a trial must pass to change the population; an initial candidate always does."""
    if state.generation == 0:
        return -inf
    return _opponent(state, trial).outcome.fitness


def _opponent(state: State, trial: Trial) -> Member:
    return state.population[closest_place(state, trial.genome)]
