"""The files under studies/tables and studies/figures: what each table and figure of the paper shows."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any, get_args

from contragrad.errors import UserError
from contragrad.jobs.recipes import RECIPES
from contragrad.legible import LONGEST_TEXT, legible
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
from contragrad.settings import config_file
from contragrad.settings.checks import fraction
from contragrad.settings.choices import WITH_PENALTY
from contragrad.studies import shipped

CALIBRATED = "calibrated"
"""In the place of an epsilon: the one at which the reference is as often right as the published one."""


def read(name: str) -> Definition:
    """The definition of that name, one of `shipped.tables`, that ships with the package.

    Raises:
        UserError: if its file is wrong.
    """
    return parse(name, shipped.definition(name).read_text(encoding="utf-8"))


def read_figure(name: str) -> Definition:
    """The definition of a figure, which has no columns: what it publishes is named by its file alone.

    Raises:
        UserError: if its file is wrong.
    """
    content = _read(name, shipped.definition(name).read_text(encoding="utf-8"))
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
    return parse(path.stem, read_text(path, LONGEST_YAML, what, "the path of a YAML file"), str(path))


def parse(name: str, text: str, file: str | None = None) -> Definition:
    """The definition in a file's text.

    Args:
        name: the table's.
        text: the file's.
        file: what it is called in errors; None is the table's name.

    Raises:
        UserError: naming the key that is wrong.
    """
    where = file or name
    content = _read(where, text)
    needed = {"title", "experiment", "columns", "networks"}
    _require_keys(content, where, needed | {"epsilons", "worst_cases", "baseline", "weights"}, needed)
    experiment, title = content["experiment"], content["title"]
    for section in ("columns", "networks"):
        _require(
            bool(_mapping(content[section], f"{where}: {section}")), f"{where}: {section}", "one or more"
        )
    experiments = get_args(Experiment)
    _require(
        experiment in experiments, f"{where}: experiment", f"one of {', '.join(experiments)}", experiment
    )
    _require(isinstance(title, str), f"{where}: title", "a text", title)
    columns = tuple(_column(f"{where}: {key}", key, value) for key, value in content["columns"].items())
    networks = _networks(where, content["networks"], columns)
    own = [column.name for column in columns if column.source in ROW_SOURCES]
    filtered = [network for network in networks if RECIPES[network].filter is not None]
    _require(not (own and filtered), f"{where}: columns", "no source of the row's own for a filtered network")
    calibrated: dict[DataName | None, str] = {}
    for column in columns:
        if column.calibrated:
            first = calibrated.setdefault(column.data, column.name)
            remedy = f"one calibrated epsilon of each data set: {first} has that of this one"
            _require(first == column.name, f"{where}: {column.name}: attack.epsilon", remedy, CALIBRATED)
            published = column.name in networks.get("reference", {})
            _require(
                published, f"{where}: reference.{column.name}", "the share that epsilon is calibrated to"
            )
    baseline = content.get("baseline")
    _require(baseline in (None, *networks), f"{where}: baseline", f"one of {', '.join(networks)}", baseline)
    return Definition(
        name=name,
        title=title,
        experiment=experiment,
        columns=columns,
        networks=networks,
        epsilons=_epsilons(f"{where}: epsilons", content.get("epsilons") or {}, columns),
        worst_cases=_worst_cases(f"{where}: worst_cases", content.get("worst_cases") or {}, columns),
        baseline=baseline,
        weights=_weights(f"{where}: weights", content.get("weights") or {}, networks),
    )


def _networks(where: str, rows: dict[str, Any], columns: Sequence[Column]) -> dict[str, dict[str, float]]:
    known, found = {column.name for column in columns}, {}
    for network, published in rows.items():
        near = get_close_matches(network[:LONGEST_TEXT], RECIPES, 1)
        _require(
            network in RECIPES,
            f"{where}: networks.{network}",
            near[0] if near else f"one of: {'; '.join(RECIPES)}",
        )
        place = f"{where}: {network}"
        found[network] = dict(_mapping({} if published is None else published, place))
        _require_keys(found[network], place, known)
        for column, share in found[network].items():
            fits = type(share) in (int, float) and 0 <= share <= 1  # YAML's true is an int too
            _require(fits, f"{place}.{column}", "a share in [0, 1]", share)
    return found


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


def _weights(where: str, value: object, networks: Iterable[str]) -> dict[str, float]:
    penalised = {network for network in networks if RECIPES[network].objective in WITH_PENALTY}
    _require_keys(value, where, penalised)
    found = {}
    for network, weight in _mapping(value, where).items():
        fits = type(weight) in (int, float) and 0 <= weight < inf
        _require(fits, f"{where}.{network}", "a number of 0 or more", weight)
        found[network] = float(weight)
    return found


def _epsilons(where: str, value: object, columns: Sequence[Column]) -> dict[DataName, Fraction]:
    data_sets = {column.data for column in columns if column.data is not None}
    given = _mapping(value, where)
    for data in given:
        remedy = f"data sets that columns are of, by data: {', '.join(sorted(data_sets)) or 'none is here'}"
        _require(data in data_sets, f"{where}.{data}", remedy)
    found = {data: _fraction(f"{where}.{data}", given[data]) for data in data_sets & given.keys()}
    for data, epsilon in found.items():
        _require(0 < epsilon <= 1, f"{where}.{data}", "a radius above 0 and up to 1, such as 8/255")
    return found


def _fraction(where: str, value: object) -> Fraction:
    try:
        return fraction(value)
    except ValueError:
        raise _wrong(where, "a number, or a fraction such as 8/255", value) from None


def _column(where: str, name: str, content: object) -> Column:
    value = _mapping({} if content is None else content, where)
    _require_keys(value, where, {"measure", "source", "data", "attack"})
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
        remedy = f"one of {', '.join(str(each) for each in choices[key] if each is not None)}"
        _require(chosen in choices[key], f"{where}: {key}", remedy, chosen)
    attack, calibrated = _attack(where, value.get("attack"))
    column = Column(name=name, attack=attack, calibrated=calibrated, **found)
    _require_sense(where, column, attacked=value.get("attack") is not None)
    return column


def _attack(where: str, content: object) -> tuple[dict[str, Any], bool]:
    """What an attack has other than the study's, and whether its epsilon is calibrated."""
    given = dict(_mapping({} if content is None else content, f"{where}: attack"))
    calibrated = given.get("epsilon") == CALIBRATED
    if calibrated:
        del given["epsilon"]
    if not given:
        return {}, calibrated
    try:
        read = config_file.of_mapping({"attack": given}, where).attack
    except UserError as error:
        place = where if error.where == where else f"{where}: {error.where}"
        value = str(given.get(error.where.removeprefix("attack."), ""))
        said = "" if value in error.what else f": {legible(value, LONGEST_TEXT)}"
        more = f", or {CALIBRATED}" if error.where == "attack.epsilon" else ""
        raise UserError(error.what + said, where=place, remedy=error.remedy + more) from error
    return {key: getattr(read, key) for key in given}, calibrated


def _require_sense(where: str, column: Column, *, attacked: bool) -> None:
    """Refuses what would be measured under a name that says something else.

    Raises:
        UserError: for it.
    """
    if column.source is None:
        _require(
            not attacked, f"{where}: source", "the network that the examples are crafted on, or no attack"
        )
        remedy = "the source of the examples: images that are right as they are fool nobody"
        _require(column.measure != "fooling rate", f"{where}: source", remedy)
    if column.calibrated:
        remedy = (
            f"accuracy: {CALIBRATED} is the epsilon at which the reference is as often right as published"
        )
        _require(column.measure == "accuracy", f"{where}: measure", remedy, column.measure)
        remedy = f"reference, whose accuracy an epsilon that is {CALIBRATED} is chosen by"
        _require(column.source == "reference", f"{where}: source", remedy, column.source)
    if column.measure == "fooling rate of the reference's":
        remedy = "reference, or none: the rate is of the images that the reference classifies correctly"
        _require(column.source in (None, "reference"), f"{where}: source", remedy, column.source)


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "a mapping", value)
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


def _require(holds: bool, where: str, remedy: str, given: object = None) -> None:
    if not holds:
        raise _wrong(where, remedy, given)


def _wrong(where: str, remedy: str, given: object = None) -> UserError:
    said = "" if given is None else f": {legible(str(given), LONGEST_TEXT)}"
    return UserError(f"the definition is wrong{said}", where=where, remedy=remedy)
