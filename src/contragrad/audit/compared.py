"""An audit's other networks as targets themselves: is it the recipe, and is it the seed?"""

from collections.abc import Iterator, Mapping
from functools import cache

from torch import Tensor

from contragrad.audit import attackers
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.attackers import REFERENCE
from contragrad.audit.attempts import Attempt, attempted
from contragrad.audit.facts import Compared
from contragrad.data.dataset import Examples
from contragrad.jobs.tasks import deployed_architecture


def compared(
    arsenal: Arsenal, examples: Examples, clean: Mapping[str, Tensor]
) -> Iterator[tuple[str, Compared]]:
    """The twin and the surrogates on the images and on the reference's examples, by name.

    Those alone that share the target's architecture or objective; `arsenal` notes what they lack.

    Args:
        arsenal: the networks that are there.
        examples: N images.
        clean: whether each network is right on them, bool (N,), by name.
    """
    target, networks = arsenal.target, arsenal.networks
    attempt = Attempt(source=REFERENCE, attack=attackers.pgd(arsenal.settings))
    reference = networks[REFERENCE]
    once = cache(lambda: arsenal.arena(examples, reference).crafted(attempt, reference))
    for name, task in arsenal.tasks.items():
        kin = task.architecture == target.architecture or task.objective == target.objective
        if name not in networks or not kin:
            continue
        held = attempted(attempt, reference, arsenal.arena(examples, networks[name]), once)
        if isinstance(held, str):
            arsenal.missing[f"{name} on the reference's examples"] = held
            continue
        yield (
            name,
            Compared(
                clean=clean[name],
                adversarial=held.right,
                architecture=deployed_architecture(task, arsenal.workspace),
                objective=task.objective,
                epochs=task.epochs,
            ),
        )
