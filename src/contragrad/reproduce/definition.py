"""What a table of the paper shows, as its file under studies/tables says."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from contragrad.config import AttackName, AttackSettings
from contragrad.errors import UserError
from contragrad.recipes import RECIPES

Measure = Literal["accuracy", "fooling rate", "fooling rate of the reference's"]
Experiment = Literal["full-data", "reduced-data"]
DataName = Literal["cifar10", "mnist", "fashion-mnist", "kmnist"]

CALIBRATED = "calibrated"
"""In the place of an epsilon: the one at which the reference is as often right as the published one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of each network.

    Args:
        name: what it is called.
        measure: `accuracy`, or a fooling rate, of the images that the source and the network classify
            correctly (section 4.2.2), or that the reference does (section 4.2.3).
        source: the network on which the examples are crafted: `reference`, or a torchvision architecture;
            None measures the clean images.
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
        values = {
            name: getattr(own, name) for name in ("name", "epsilon", "steps", "step_size", "random_start")
        }
        return AttackSettings(**values | changes)


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
    """

    name: str
    title: str
    experiment: Experiment
    columns: tuple[Column, ...]
    networks: Mapping[str, Mapping[str, float]]

    @property
    def data(self) -> tuple[DataName | None, ...]:
        """The data sets of its columns, each once."""
        return tuple(dict.fromkeys(column.data for column in self.columns))


def read(name: str) -> Definition:
    """The definition of that name that ships with the package.

    Raises:
        UserError: if there is none, or if its file is wrong.
    """
    path = folder() / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"the paper has no {name} here", where=name, remedy=" or ".join(names()))
    return parse(name, path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Definition:
    """The definition in a file's text.

    Raises:
        UserError: naming the key that is wrong.
    """
    content = yaml.safe_load(text)
    columns = tuple(_column(f"{name}: {key}", key, value or {}) for key, value in content["columns"].items())
    networks = {network: dict(published or {}) for network, published in content["networks"].items()}
    known = {column.name for column in columns}
    for network, published in networks.items():
        _require(network in RECIPES, f"{name}: networks.{network}", f"one of {', '.join(RECIPES)}")
        for column, share in published.items():
            _require(column in known, f"{name}: {network}.{column}", f"one of {', '.join(known)}")
            _require(0 <= share <= 1, f"{name}: {network}.{column}", "a share in [0, 1]")
    _require(content["experiment"] in get_args(Experiment), f"{name}: experiment", "a known experiment")
    return Definition(
        name=name,
        title=content["title"],
        experiment=content["experiment"],
        columns=columns,
        networks=networks,
    )


def _column(where: str, name: str, value: dict[str, Any]) -> Column:
    attack = dict(value.pop("attack", {}))
    calibrated = attack.get("epsilon") == CALIBRATED
    if calibrated:
        del attack["epsilon"]
    elif "epsilon" in attack:
        attack["epsilon"] = Fraction(str(attack["epsilon"]))
    _require(attack.get("name", "fgsm") in get_args(AttackName), where, "a known attack")
    measure = value.pop("measure", "accuracy")
    _require(measure in get_args(Measure), where, f"one of {', '.join(get_args(Measure))}")
    data = value.pop("data", None)
    _require(data is None or data in get_args(DataName), where, f"one of {', '.join(get_args(DataName))}")
    source = value.pop("source", None)
    _require(not value, where, f"no key {next(iter(value), None)}")
    return Column(name=name, measure=measure, source=source, data=data, attack=attack, calibrated=calibrated)


def _require(holds: bool, where: str, remedy: str) -> None:
    if not holds:
        raise UserError("the definition is wrong", where=where, remedy=remedy)


def names() -> list[str]:
    """The names of all tables."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def folder() -> Path:
    """Where the definitions are."""
    return Path(str(resources.files("contragrad.studies"))) / "tables"
