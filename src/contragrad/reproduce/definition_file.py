"""The files under studies/tables and studies/figures: what each table and figure of the paper shows."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from contragrad.errors import UserError
from contragrad.jobs.recipes import RECIPES
from contragrad.outside import LONGEST_YAML, from_yaml, read_text
from contragrad.reproduce.definition import (
    ROW_SOURCES,
    SOURCES,
    Column,
    DataName,
    Definition,
    Experiment,
    Measure,
)
from contragrad.settings.checks import fraction
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

CALIBRATED = "calibrated"
"""In the place of an epsilon: the one at which the reference is as often right as the published one."""


def read(name: str) -> Definition:
    """The definition of that name, one of `names`, that ships with the package.

    Raises:
        UserError: if its file is wrong.
    """
    return parse(name, (folder("tables") / f"{name}.yaml").read_text(encoding="utf-8"))


def read_figure(name: str) -> Definition:
    """The definition of a figure, which has no columns: what it publishes is named by its file alone.

    Raises:
        UserError: if its file is wrong.
    """
    content = _read(name, (folder("figures") / f"{name}.yaml").read_text(encoding="utf-8"))
    _require_keys(content, name, {"title", "experiment", "networks"}, {"title", "experiment"})
    return Definition(
        name=name,
        title=content["title"],
        experiment=content["experiment"],
        columns=(),
        networks={network: published or {} for network, published in content.get("networks", {}).items()},
    )


def read_own(path: Path, taken: Iterable[str]) -> Definition:
    """The definition in a file of somebody's own, whose name without `.yaml` is the table's.

    Args:
        path: the file.
        taken: names that it must not have.

    Raises:
        UserError: if it cannot be read, has such a name, or is wrong.
    """
    if path.stem in taken:
        remedy = "another name for the file: its table would lie in the place of that one"
        raise UserError(f"there is a {path.stem} already", where=str(path), remedy=remedy)
    what = "the definition cannot be read"
    return parse(path.stem, read_text(path, LONGEST_YAML, what, "the path of a YAML file"))


def parse(name: str, text: str) -> Definition:
    """The definition in a file's text.

    Raises:
        UserError: naming the key that is wrong.
    """
    content = _read(name, text)
    needed = {"title", "experiment", "columns", "networks"}
    _require_keys(content, f"{name}", needed | {"epsilons", "worst_cases", "baseline"}, needed)
    experiment, title = content["experiment"], content["title"]
    for section in ("columns", "networks"):
        _mapping(content[section], f"{name}: {section}")
    _require(experiment in get_args(Experiment), f"{name}: experiment", f"one of {get_args(Experiment)}")
    _require(isinstance(title, str), f"{name}: title", "a text")
    columns = tuple(_column(f"{name}: {key}", key, value or {}) for key, value in content["columns"].items())
    known = [column.name for column in columns]
    networks = {}
    for network, published in content["networks"].items():
        _require(network in RECIPES, f"{name}: networks.{network}", f"one of {', '.join(RECIPES)}")
        networks[network] = dict(_mapping(published or {}, f"{name}: {network}"))
        _require_keys(networks[network], f"{name}: {network}", set(known))
        for column, share in networks[network].items():
            fits = isinstance(share, int | float) and 0 <= share <= 1
            _require(fits, f"{name}: {network}.{column}", "a share in [0, 1]")
    own = [column.name for column in columns if column.source in ROW_SOURCES]
    filtered = [network for network in networks if RECIPES[network].filter is not None]
    _require(not (own and filtered), f"{name}: columns", "no source of the row's own for a filtered network")
    calibrated = [column.name for column in columns if column.calibrated]
    _require(len(calibrated) <= 1, f"{name}: columns", "one calibrated epsilon")
    for column in calibrated:
        published = column in networks.get("reference", {})
        _require(published, f"{name}: reference.{column}", "the share that epsilon is calibrated to")
    baseline = content.get("baseline")
    _require(baseline in (None, *networks), f"{name}: baseline", f"one of {', '.join(networks)}")
    return Definition(
        name=name,
        title=title,
        experiment=experiment,
        columns=columns,
        networks=networks,
        epsilons=_epsilons(f"{name}: epsilons", content.get("epsilons") or {}, columns),
        worst_cases=_worst_cases(f"{name}: worst_cases", content.get("worst_cases") or {}, columns),
        baseline=baseline,
    )


def _read(name: str, text: str) -> dict[str, Any]:
    try:
        return _mapping(from_yaml(text), name)
    except ValueError as error:
        remedy = "plain YAML such as those under contragrad/studies/tables"
        raise UserError(f"the definition is no YAML: {error}", where=name, remedy=remedy) from error


def _worst_cases(where: str, value: object, columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
    accuracies = {column.name: column for column in columns if column.measure == "accuracy"}
    found = {}
    for name, of in _mapping(value, where).items():
        _require(
            name not in {column.name for column in columns}, f"{where}.{name}", "a name that no column has"
        )
        known = isinstance(of, list) and all(isinstance(each, str) and each in accuracies for each in of)
        _require(known and len(set(of)) > 1, f"{where}.{name}", f"two or more of {', '.join(accuracies)}")
        _require(
            len({accuracies[each].data for each in of}) == 1, f"{where}.{name}", "columns of one data set"
        )
        found[name] = tuple(each for each in accuracies if each in of)
    return found


def _epsilons(where: str, value: object, columns: Sequence[Column]) -> dict[DataName, Fraction]:
    data_sets = {column.data for column in columns if column.data is not None}
    _require_keys(value, where, set(data_sets))
    given = _mapping(value, where)
    found = {data: _fraction(f"{where}.{data}", given[data]) for data in data_sets & given.keys()}
    for data, epsilon in found.items():
        _require(0 < epsilon <= 1, f"{where}.{data}", "a radius above 0 and up to 1, such as 8/255")
    return found


def _fraction(where: str, value: object, more: str = "") -> Fraction:
    try:
        return fraction(value)
    except ValueError:
        raise _wrong(where, f"a number, a fraction such as 8/255{more}") from None


def _column(where: str, name: str, value: dict[str, Any]) -> Column:
    _require_keys(value, where, {"measure", "source", "data", "attack"})
    attack = dict(_mapping(value.get("attack") or {}, f"{where}: attack"))
    _require_keys(attack, f"{where}: attack", {field.name for field in fields(AttackSettings)})
    calibrated = attack.get("epsilon") == CALIBRATED
    if calibrated:
        del attack["epsilon"]
    for key in attack.keys() & {"epsilon", "step_size"}:
        more = f", or {CALIBRATED}" if key == "epsilon" else ""
        attack[key] = _fraction(f"{where}: attack.{key}", attack[key], more)
    found = {
        "measure": value.get("measure", "accuracy"),
        "source": value.get("source"),
        "data": value.get("data"),
    }
    choices = {
        "measure": get_args(Measure),
        "source": (None, *SOURCES),
        "data": (None, *get_args(DataName)),
    }
    for key, chosen in found.items():
        _require(chosen in choices[key], f"{where}: {key}", f"one of {', '.join(map(str, choices[key]))}")
    names_ = get_args(AttackName)
    _require(attack.get("name", names_[0]) in names_, f"{where}: attack", f"one of {', '.join(names_)}")
    return Column(name=name, attack=attack, calibrated=calibrated, **found)


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "a mapping")
    for key in value:
        _require(
            isinstance(key, str), f"{where}.{key}", "a text for a key, in quotes if it looks like a number"
        )
    return value


def _require_keys(value: object, where: str, known: set[str], needed: Iterable[str] = ()) -> None:
    value = _mapping(value, where)
    for key in value:
        _require(key in known, f"{where}.{key}", f"one of {', '.join(sorted(known))}" if known else "none")
    for key in sorted(needed):
        _require(key in value, f"{where}: {key}", "a value for it")


def _require(holds: bool, where: str, remedy: str) -> None:
    if not holds:
        raise _wrong(where, remedy)


def _wrong(where: str, remedy: str) -> UserError:
    return UserError("the definition is wrong", where=where, remedy=remedy)


def names() -> list[str]:
    """The names of all tables."""
    return sorted(path.stem for path in folder("tables").glob("*.yaml"))


def folder(kind: Literal["tables", "figures"]) -> Path:
    """Where the definitions are."""
    return Path(str(resources.files("contragrad.studies"))) / kind
