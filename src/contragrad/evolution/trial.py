"""What a search asks for, and what comes of it."""

from dataclasses import dataclass
from math import inf

from contragrad.evolution.genome import Genome
from contragrad.fingerprint import Plain


@dataclass(frozen=True, slots=True)
class Trial:
    """A network to train and measure; `replicate` names its streams of random numbers."""

    genome: Genome
    epochs: int
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """The accuracies of a trained network on the fitness images, as fractions."""

    clean_accuracy: float
    adversarial_accuracy: float

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


Outcome = Measured | Infeasible


def outcome_to_json(outcome: Outcome) -> dict[str, Plain]:
    """The outcome as the memo stores it."""
    match outcome:
        case Measured(clean, adversarial):
            return {"clean_accuracy": clean, "adversarial_accuracy": adversarial}
        case Infeasible(reason):
            return {"infeasible": reason}


def outcome_from_json(stored: dict[str, Plain]) -> Outcome:
    """The outcome that `outcome_to_json` stored.

    Raises:
        ValueError: if the stored value is no outcome.
    """
    match stored:
        case {"infeasible": str(reason)}:
            return Infeasible(reason)
        case {"clean_accuracy": float(clean), "adversarial_accuracy": float(adversarial)}:
            return Measured(clean, adversarial)
        case _:
            raise ValueError(f"no outcome: {stored!r}")
