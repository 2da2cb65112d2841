"""What happens in a run, as plain values, told to whoever watches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from contragrad.engine.study import Told
from contragrad.evaluate import Row
from contragrad.evolution.search import State
from contragrad.evolution.trial import Trial
from contragrad.settings.config import StudyConfig


@dataclass(frozen=True, slots=True)
class Opened:
    """A study's run folder is there and nobody else's; `config` is what the study goes on with."""

    folder: Path
    config: StudyConfig


@dataclass(frozen=True, slots=True)
class Planned:
    """A network that a stage trains, and all its epochs."""

    key: str
    name: str
    epochs: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A new stage of the run has begun, and what the one before left running is nobody's any more.

    Args:
        text: what is done in it.
        trainings: the networks that it trains.
        workers: how many of them at a time.
    """

    text: str
    trainings: tuple[Planned, ...] = ()
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Searching:
    """The stage in which a search runs, from its start and with so many workers.

    What the memo has is told again, from the first evaluation on.
    """

    state: State
    workers: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A training has begun, or goes on from where an earlier session left it.

    Args:
        key: tells it from others.
        name: what people call it.
        epochs: how many it has in all.
        trial: what is trained, if a search asked for it.
    """

    key: str
    name: str
    epochs: int
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """A training has come through an epoch.

    Args:
        key: tells it from others.
        name: what people call it.
        epoch: how many it has behind it.
        epochs: how many it has in all.
        losses: the epoch's, by their names, and its fitness where that was measured.
        trial: what is trained, if a search asked for it.
    """

    key: str
    name: str
    epoch: int
    epochs: int
    losses: tuple[tuple[str, float], ...] = ()
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Working:
    """Work that has no epochs is at this."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The training or the work named `key` is over.

    Args:
        key: which.
        seconds: how long it took, if that is known.
        text: what is worth keeping of it; empty where its outcome is told elsewhere.
    """

    key: str
    seconds: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """Something that is worth keeping."""

    text: str


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is done, so that something can be printed: what is drawn on a terminal is cleared."""


@dataclass(frozen=True, slots=True)
class Results:
    """A study's table, which is written: its run is over."""

    rows: tuple[Row, ...]


Event = Opened | Stage | Searching | Told | Begun | Epoch | Working | Ended | Said | Idle | Results

Watcher = Callable[[Event], None]
"""Takes each event of a run, in their order."""


def nobody(event: Event) -> None:
    """Watches nothing."""


def epoch_of(key: str, name: str, message: Mapping[str, float], trial: Trial | None = None) -> Epoch:
    """The event of a training's own report: its epochs, and its losses by name."""
    losses = tuple((loss, value) for loss, value in message.items() if loss not in ("epoch", "epochs"))
    return Epoch(key, name, int(message["epoch"]), int(message["epochs"]), losses, trial)


def evaluations(state: State) -> int:
    """All evaluations of a search."""
    settings = state.settings
    return settings.population * (1 + settings.generations * settings.children)


def best_fitness(state: State) -> float:
    """The best candidate's fitness; 0 if there is none or none that could be measured."""
    return max((0.0, *(member.outcome.fitness for member in state.population)))
