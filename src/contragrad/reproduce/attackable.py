"""Whether a table's attacks can read the networks that they are for, before any of these is trained."""

from fractions import Fraction

from contragrad.attacks import examples
from contragrad.errors import UserError
from contragrad.jobs.tasks import deployed_architecture
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from contragrad.reference import architecture
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.epsilon import GREYS
from contragrad.reproduce.grounds import Ground, stand_ins
from contragrad.reproduce.trainings import source_of
from contragrad.settings.config import AttackSettings


def require_attackable(definition: Definition, ground: Ground) -> None:
    """Tries each attack of the ground's columns on an untrained network of each architecture that it is for.

    The study tries its own attack when it begins.

    Raises:
        UserError: if an attack cannot read a network, or needs a package that is missing.
    """
    own, tried = ground.workspace.config.attack, set()
    for column in definition.columns:
        if column.data != ground.data or column.source is None:
            continue
        attack = column.crafted_by(own, Fraction(1, GREYS))
        if attack.name == own.name:
            continue
        for text in _sources(definition, column, ground):
            # Whether an attack can read a network is a matter of its architecture.
            if (attack.name, text) not in tried:
                tried.add((attack.name, text))
                _try(attack, text, ground, f"{definition.name}: {column.name}")


def _sources(definition: Definition, column: Column, ground: Ground) -> list[str]:
    """The architectures that a column's examples are crafted on."""
    texts = {
        task.name: deployed_architecture(task, ground.workspace) for task in stand_ins(definition, ground)[1]
    }
    reference = architecture(ground.workspace.config.reference)
    names = (source_of(network, str(column.source)) for network in definition.networks)
    return list(dict.fromkeys(texts.get(name, reference) for name in names))


def _try(attack: AttackSettings, text: str, ground: Ground, where: str) -> None:
    problem = ground.workspace.problem
    normal = Normalisation((0.0,) * problem.channels, (1.0,) * problem.channels)
    network = construct(text, problem, normal, 0)
    shape = (problem.channels, problem.height, problem.width)
    try:
        examples.require_craftable(network, shape, attack, where=text)
    except UserError as error:
        raise UserError(
            f"{error.what} ({text})", where=f"{where}: {error.where}", remedy=error.remedy
        ) from error
