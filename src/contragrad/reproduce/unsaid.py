"""What a table's rows are made by that is no setting of the study, for the reader of the table."""

from collections.abc import Callable
from inspect import signature

from contragrad.defences import FILTERS
from contragrad.jobs.recipes import RECIPES, RIVAL
from contragrad.networks.architectures import HAND_ENGINEERED
from contragrad.networks.inputs import (
    FAST_STEP,
    FREE_REPLAYS,
    PGD_STEP,
    PGD_STEPS,
    Inputs,
    fast,
    free,
    pgd,
)
from contragrad.networks.objectives import OBJECTIVES, Parts
from contragrad.reproduce.definition import Definition
from contragrad.settings.config import StudyConfig

INPUTS: dict[Callable[[float], Inputs], str] = {
    free: f"{FREE_REPLAYS} steps of ε on each batch, and so many times fewer epochs",
    fast: f"one step of {FAST_STEP} ε",
    pgd: f"{PGD_STEPS} steps of {PGD_STEP / PGD_STEPS:g} ε",
}
"""What adversarial training is made by, beside the attack's ε."""


CLIMBED = "the log-odds against the label, whose gradient has the direction of cross-entropy's"
"""See `attacks.adapter.climbed`."""


def of_architectures(definition: Definition, config: StudyConfig) -> dict[str, str]:
    """The hand-engineered networks among the rows, whose channels, kernels and joins are ours."""
    rows = {RECIPES[name].of for name in definition.networks}
    reference = config.reference
    own = None if reference.factory is not None else reference.architecture
    names = [own, RIVAL if "hand-engineered" in rows else None]
    return {name: str(HAND_ENGINEERED[name]) for name in names if name in HAND_ENGINEERED}


def of_defences(definition: Definition) -> dict[str, str]:
    """The parameters of the rows' filters and adversarial trainings, which the paper leaves open."""
    found = {}
    for name in definition.networks:
        recipe = RECIPES[name]
        if recipe.filter is not None:
            parameters = signature(FILTERS[recipe.filter]).parameters.values()
            known = (each for each in parameters if each.default is not each.empty)
            found[name] = ", ".join(f"{each.name.replace('_', ' ')} {each.default:g}" for each in known)
        elif recipe.objective is not None and (text := _of_training(OBJECTIVES[recipe.objective])):
            found[name] = text
    return found


def _of_training(parts: Parts) -> str:
    """What is trained on in the place of the images, in words; empty if that are they."""
    if parts.inputs is None:
        return ""
    others = [*["the clean images"] * parts.beside, *["fixed examples of the sources"] * parts.fixed]
    beside = f", in equal parts with {' and '.join(others)}" if others else ""
    return INPUTS[parts.inputs] + beside


def kept_last(definition: Definition, config: StudyConfig) -> list[str]:
    """The rows whose last weights are kept though the study keeps those of a best epoch.

    Networks without a defence, the reference among them if it is trained here.
    """
    if config.refine.keep == "last":
        return []
    given = config.reference.weights is not None
    return [
        name
        for name in definition.networks
        if not (recipe := RECIPES[name]).is_chosen(config.training.objective)
        and not (given and recipe.objective is None)
    ]
