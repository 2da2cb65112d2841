"""What curves are drawn of: numbers of a search by evaluation."""

from statistics import mean

from contragrad.engine.study import Told
from contragrad.evolution.trial import Measured
from contragrad.watch.events import best_fitness


def scalars(told: Told) -> dict[str, float]:
    """Fractions in [0, 1] by name; the step is `told.after.step`.

    A candidate that could not be measured counts 0.
    """
    candidates = [max(member.outcome.fitness, 0.0) for member in told.after.population]
    found = {"fitness/best": best_fitness(told.after), "fitness/mean": mean(candidates)}
    found |= {f"candidate/{slot}": fitness for slot, fitness in enumerate(candidates, start=1)}
    if isinstance(told.outcome, Measured):
        found |= {
            "child/fitness": told.outcome.fitness,
            "child/clean_accuracy": told.outcome.clean_accuracy,
            "child/adversarial_accuracy": told.outcome.adversarial_accuracy,
        }
    return found


def replaces(told: Told) -> bool:
    """Whether the evaluation has put a child in a candidate's place."""
    before, after = told.before.population, told.after.population
    return len(before) == len(after) and before != after
