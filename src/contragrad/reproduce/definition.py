"""What a table of the paper shows, as plain values; its file is read in `definition_file`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal, get_args

from contragrad.settings.choices import ReferenceArchitecture
from contragrad.settings.config import AttackSettings

Measure = Literal["accuracy", "fooling rate", "fooling rate of the reference's"]
Experiment = Literal["full-data", "reduced-data"]
DataName = Literal["cifar10", "mnist", "fashion-mnist", "kmnist"]

ITSELF = "itself"
"""The source of a column whose examples are crafted on the row's own network."""

ROW_SURROGATES = ("surrogate", "surrogate 2", "surrogate 3")
"""Sources of columns whose examples are crafted on what an attacker trains by the row's recipe, each from
other seeds."""

ROW_SOURCES = (ITSELF, *ROW_SURROGATES)
"""Sources that each row has for itself."""

SOURCES = (
    "reference",
    *ROW_SOURCES,
    *(name for name in get_args(ReferenceArchitecture) if "hand" not in name),
)
"""What examples may be crafted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of each network.

    Args:
        name: what it is called.
        measure: `accuracy`, or a fooling rate, of the images that the source and the network classify
            correctly (section 4.2.2), or that the reference does (section 4.2.3).
        source: the network on which the examples are crafted: `reference`, a torchvision architecture,
            `itself`, or one of three surrogates of the row's network; None measures the clean images.
        data: the data set that the networks are retrained on; None is the one they were evolved on.
        attack: what it has other than the study's attack.
        calibrated: its epsilon is calibrated.
    """

    name: str
    measure: Measure
    source: str | None = None
    data: DataName | None = None
    attack: Mapping[str, Any]
    calibrated: bool = False

    def crafted_by(self, own: AttackSettings, calibrated: Fraction | None) -> AttackSettings:
        """The column's attack, given the study's and the calibrated epsilon, if the column has that."""
        changes = dict(self.attack)
        if self.calibrated:
            assert calibrated is not None
            changes["epsilon"] = calibrated
        attack = replace(own, **changes)
        # A step has a length in its own ball alone.
        same_ball = (attack.name, attack.epsilon) == (own.name, own.epsilon)
        return attack if same_ball or "step_size" in changes else replace(attack, step_size=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A table of the paper.

    Args:
        name: `table4`.
        title: what it shows.
        experiment: whose study its networks come from.
        columns: its figures.
        networks: the names of its networks, as `recipes.RECIPES` has them, and for each what the paper
            published, by column, in [0, 1].
        epsilons: of the study's attack, and so of what is trained on examples, on data sets where they are
            not the scale's.
        worst_cases: accuracies, by name, over several columns: an image counts if it is given its label in
            all of them. With the clean images among them, no image counts that the attack repairs: gradients
            that point away from the reference's turn its examples towards their labels.
        baseline: the network that each other is compared with, image by image.
        weights: λ, by network, of those whose penalty has another than the study's: one that was calibrated
            for gradient misalignment is none for its rivals.
    """

    name: str
    title: str
    experiment: Experiment
    columns: tuple[Column, ...]
    networks: Mapping[str, Mapping[str, float]]
    epsilons: Mapping[DataName, Fraction] = field(default_factory=dict)
    worst_cases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    baseline: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def epsilon_of(self, data: DataName | None) -> Fraction | None:
        """The study's epsilon on a data set where it is not the scale's."""
        return None if data is None else self.epsilons.get(data)

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of all figures of a network: each worst case after the last column that it is of."""
        found: list[str] = []
        for column in self.columns:
            found.append(column.name)
            found += [name for name, of in self.worst_cases.items() if of[-1] == column.name]
        return tuple(found)

    @property
    def data(self) -> tuple[DataName | None, ...]:
        """The data sets of its columns, each once."""
        return tuple(dict.fromkeys(column.data for column in self.columns))
