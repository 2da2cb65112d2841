"""What a table's rows are made by that is no setting of the study, for the reader of the table."""

from inspect import signature

from contragrad.defences import FILTERS
from contragrad.jobs.recipes import RECIPES
from contragrad.networks.inputs import FAST_STEP, FREE_REPLAYS
from contragrad.reproduce.definition import Definition
from contragrad.settings.choices import Objective
from contragrad.settings.config import StudyConfig

TRAININGS: dict[Objective, str] = {
    "free-adversarial": f"{FREE_REPLAYS} steps on each batch, of one ε each",
    "fast-adversarial": f"one step of {FAST_STEP} ε",
}
"""What the two defences of the paper's Table 6 have beside the attack's ε."""


def of_defences(definition: Definition) -> dict[str, str]:
    """The parameters of the rows' filters and adversarial trainings, which the paper leaves open."""
    found = {}
    for name in definition.networks:
        recipe = RECIPES[name]
        if recipe.filter is not None:
            parameters = signature(FILTERS[recipe.filter]).parameters.values()
            known = (each for each in parameters if each.default is not each.empty)
            found[name] = ", ".join(f"{each.name.replace('_', ' ')} {each.default:g}" for each in known)
        elif recipe.objective in TRAININGS:
            found[name] = TRAININGS[recipe.objective]
    return found


def kept_last(definition: Definition, config: StudyConfig) -> list[str]:
    """The rows whose last weights are kept though the study keeps those of a best epoch.

    Networks without a defence: to choose their weights by adversarial accuracy would be one.
    """
    if config.refine.keep == "last" or config.training.objective == "cross-entropy":
        return []
    return [name for name in definition.networks if RECIPES[name].objective == "cross-entropy"]
