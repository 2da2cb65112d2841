"""What a search asks for, and what comes of it."""

from dataclasses import dataclass
from math import inf

from contragrad.evolution.genome import Genome
from contragrad.fingerprint import Plain

GIVEN_UP = "given_up"
"""The key of a stored outcome that says that its trial was given up."""

LONGEST_SHOWN = 200
"""Letters of what is stored that stand in a message."""


@dataclass(frozen=True, slots=True)
class Rung:
    """An epoch after which a trial's fitness is looked at, and the least with which it goes on, if any."""

    epoch: int
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A network to train and measure.

    Args:
        genome: the network.
        epochs: how long it is trained.
        replicate: names its streams of random numbers.
        rungs: where its fitness is looked at before the end; below a bar the trial is stopped.
    """

    genome: Genome
    epochs: int
    replicate: int = 0
    rungs: tuple[Rung, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """A trained network's accuracies on the fitness images, as fractions, and its fitness at each rung."""

    clean_accuracy: float
    adversarial_accuracy: float
    curve: tuple[float, ...] = ()

    @property
    def fitness(self) -> float:
        """The smaller of the two accuracies.

            F = min{A_CL, A_AD}

        Source: eq. (4).
        """
        return min(self.clean_accuracy, self.adversarial_accuracy)


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A trial that cannot be measured, and why: a value like any other, worse than any measurement."""

    reason: str

    @property
    def fitness(self) -> float:
        """Less than any accuracy."""
        return -inf


@dataclass(frozen=True, slots=True)
class Stopped:
    """A trial that was behind at a rung, and the fitness it had reached there."""

    epoch: int
    reached: float

    @property
    def fitness(self) -> float:
        """Less than any accuracy: what was not trained to its end replaces nothing."""
        return -inf


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A trial that was given up, for it ended every process that tried it, and how.

    It says less of the trial than of the machine: another one may bear it.
    """

    reason: str

    @property
    def fitness(self) -> float:
        """Less than any accuracy."""
        return -inf


Outcome = Measured | Stopped | Infeasible | Abandoned


def outcome_to_json(outcome: Outcome) -> dict[str, Plain]:
    """The outcome as the memo stores it."""
    match outcome:
        case Measured(clean, adversarial, curve):
            looked: dict[str, Plain] = {"curve": list(curve)} if curve else {}
            return {"clean_accuracy": clean, "adversarial_accuracy": adversarial} | looked
        case Stopped(epoch, reached):
            return {"stopped": epoch, "reached": reached}
        case Infeasible(reason):
            return {"infeasible": reason}
        case Abandoned(reason):
            return {GIVEN_UP: reason}


def outcome_from_json(stored: dict[str, Plain]) -> Outcome:
    """The outcome that `outcome_to_json` stored.

    Raises:
        ValueError: if the stored value is no outcome.
    """
    match stored:
        case {"infeasible": str(reason)}:
            return Infeasible(reason)
        case {"given_up": str(reason)}:
            return Abandoned(reason)
        case {"stopped": int(epoch), "reached": float(reached)} if type(epoch) is int and epoch > 0:
            return Stopped(epoch, _share(reached))
        case {"clean_accuracy": float(clean), "adversarial_accuracy": float(adversarial)}:
            return Measured(_share(clean), _share(adversarial), _curve(stored.get("curve", [])))
        case _:
            raise ValueError(f"no outcome: {repr(stored)[:LONGEST_SHOWN]}")


def _share(stored: float) -> float:
    if not 0 <= stored <= 1:
        raise ValueError(f"{stored} is no accuracy")
    return stored


def _curve(stored: Plain) -> tuple[float, ...]:
    if isinstance(stored, list) and all(isinstance(value, float) for value in stored):
        return tuple(_share(value) for value in stored if isinstance(value, float))
    raise ValueError(f"no fitness at each rung: {repr(stored)[:LONGEST_SHOWN]}")
