"""What curves are drawn of: numbers of a search by evaluation."""

from statistics import mean

from contragrad.engine.study import Told
from contragrad.evolution.trial import Measured
from contragrad.watch.events import best_fitness


def scalars(told: Told) -> dict[str, float]:
    """Fractions in [0, 1] by name, of the step `told.after.step`; a candidate without a measurement counts 0.

    `child/replaces` is 1 where the child has taken a candidate's place, else 0.
    """
    before, after = told.before.population, told.after.population
    candidates = [max(member.outcome.fitness, 0.0) for member in after]
    found = {"fitness/best": best_fitness(told.after), "fitness/mean": mean(candidates)}
    found |= {f"candidate/{slot}": fitness for slot, fitness in enumerate(candidates, start=1)}
    found["child/replaces"] = float(len(before) == len(after) and before != after)
    if isinstance(told.outcome, Measured):
        found["child/fitness"] = told.outcome.fitness
        found["child/clean_accuracy"] = told.outcome.clean_accuracy
        found["child/adversarial_accuracy"] = told.outcome.adversarial_accuracy
    return found
