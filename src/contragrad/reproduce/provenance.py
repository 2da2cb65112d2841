"""What the reader of a table must know of it, as plain JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from contragrad.engine.evaluations import provenance as made_here
from contragrad.fingerprint import Plain
from contragrad.reproduce.definition import DataName, Definition, Experiment
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.setups import EVOLVED_ON, PER_CLASS
from contragrad.reproduce.unsaid import CLIMBED, kept_last, of_architectures, of_defences
from contragrad.settings import config_file
from contragrad.settings.checks import radius
from contragrad.settings.choices import ReferenceArchitecture

Content = dict[str, Any]

PAPER: dict[str, Plain] = {
    "fitness_split": "test",
    "data.validation_fraction": None,
    "reference.factory": None,
    "reference.weights": None,
    "attack.name": "linf-pgd",
    "training.batch_size": 128,
    "training.objective": "gm",
    "training.gm_every": 1,
    "search.population": "4 or 5",
    "search.children": 2,
    "search.minimum_distance": 4.0,
    "search.generations": 50,
    "search.mutations_min": 4,
    "search.mutations_max": 5,
    "search.epochs": 20,
    "search.epochs_growth": 5,
    "search.epochs_growth_every": 10,
    "search.variation": "mutation",
    "search.schedule": "sequential",
    "search.rungs": [],
    "search.rung_slack": 0.0,
    "search.limits.blocks": None,
    "search.limits.parameters": None,
    "search.limits.flops": None,
    "refine.epochs": 1000,
    "refine.keep": "last",
    "refine.patience": None,
    "refine.together": False,
    "refine.networks": "all 4 or 5",
}
"""What the paper says of a setting; None where it has no such thing. It leaves all others open.

Source: section 4.
"""

POPULATIONS = (4, 5)
"""Of the paper's searches, all of whose networks are refined.

Source: section 4, implementation details.
"""

REFERENCES: dict[Experiment, ReferenceArchitecture] = {
    "full-data": "resnet34",
    "reduced-data": "hand-engineered-a",
}
"""The reference's architecture.

Source: sections 4.1 and 4.2.
"""

UNSAID = (
    *("seed", "device", "workers", "executor", "address", "worker_gpus", "memo", "refine.checkpoint_every"),
    *("data.source", "data.path", "data.download", "data.image_size"),
    *("data.train_per_class", "data.test_per_class"),
)
"""Settings of which a table tells the effect, or that have none."""

CUT = (
    "kmnist_reduced.npz is taken to be the file of this project's reduced sets: its training and its test "
    "images are both cut from KMNIST's official test set"
)


CLASSES = 10
"""Of each data set."""

REDUCED = {"training": CLASSES * PER_CLASS[0], "test": CLASSES * PER_CLASS[1]}
"""The paper's images of a reduced set.

Source: section 4.2.1.
"""

WHOLE: dict[DataName, dict[str, int]] = {
    "cifar10": {"training": 50_000, "test": 10_000},
    "mnist": {"training": 60_000, "test": 10_000},
    "kmnist": {"training": 60_000, "test": 10_000},
}
"""Those of the sets that the paper has whole.

Source: section 4.1.
"""

FULL = "full data; those measured here are of reduced data"
"""What the published figures of tables 1 to 3 are of."""


def told(definition: Definition, of: Sequence[Ground]) -> Content:
    """Title, scale, seeds, versions, data, and each setting that is not the paper's or left open by it."""
    first = [ground for ground in of if ground.setup == of[0].setup]
    config = first[0].workspace.config
    settings = config_file.dotted(config)
    if config.fitness_split == "test":
        del settings["data.validation_fraction"]
    published = PAPER | {"reference.architecture": REFERENCES[definition.experiment]}
    made = made_here()
    extent = "reduced data" if any(ground.reduced for ground in first) else "full data"
    return {
        "title": f"{definition.title}, {extent}",
        "baseline": definition.baseline,
        "weights": dict(definition.weights),
        "scale": of[0].setup.scale,
        "protocol": "paper" if of[0].setup.paper_protocol else "separate",
        # No part of the identity: the same table made elsewhere is not made again.
        "made_with": {key: made[key] for key in ("contragrad", "torch", "python", "machine")},
        "seeds": [ground.setup.seed for ground in of if ground.data == of[0].data],
        "data": [_data(ground, definition) for ground in first],
        "published_on": FULL if extent != "full data" and _of_full_data(definition) else None,
        "defences": of_defences(definition),
        "architectures": of_architectures(definition, config),
        "climbed": CLIMBED,
        "kept_last": kept_last(definition, config),
        "left_open": {
            key: value for key, value in settings.items() if key not in published and key not in UNSAID
        },
        "differs": {
            key: {"here": settings[key], "paper": paper}
            for key, paper in published.items()
            if key in settings and not _as_published(key, settings, paper)
        },
    }


def _of_full_data(definition: Definition) -> bool:
    """Whether it has figures that the paper published of full data."""
    return definition.experiment == "full-data" and any(definition.networks.values())


def _as_published(key: str, settings: Mapping[str, Plain], paper: Plain) -> bool:
    """Whether a setting is the paper's."""
    population = settings["search.population"]
    if key == "search.population":
        return population in POPULATIONS
    if key == "refine.networks":
        return settings[key] == population and population in POPULATIONS
    return settings[key] == paper


def _data(ground: Ground, definition: Definition) -> Content:
    config = ground.workspace.config
    name = ground.data or EVOLVED_ON
    published = REDUCED if definition.experiment == "reduced-data" else WHOLE.get(name)
    here = dict(ground.images)
    trained = here["training"] + here.get("validation", 0)
    return {
        "name": name,
        "evolved_on": ground.data is None,
        "source": config.data.source,
        "fingerprint": ground.workspace.data,
        "images": here,
        "published_images": None if published == {"training": trained, "test": here["test"]} else published,
        "note": CUT if (name, config.data.source) == ("kmnist", "npz") else None,
        "epsilon": None if (epsilon := definition.epsilon_of(ground.data)) is None else radius(epsilon),
    }
