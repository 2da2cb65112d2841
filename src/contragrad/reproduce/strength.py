"""How strong a printed table's examples are: who does not fool their own source fools nobody."""

from contragrad.attacks.library import settings_read
from contragrad.audit.strength import STRONG
from contragrad.reproduce.definition import ITSELF, ROW_SOURCES
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.remarks import in_greys
from contragrad.reproduce.setups import EVOLVED_ON
from contragrad.watch.scene import counted

MARK = "*"
"""Beside a figure whose examples hardly fool their own source."""

WEAK = (
    f"{MARK} the source of such examples is itself fooled on less than {STRONG:.0%} of the images that it "
    "classifies correctly, so a stronger attack, or a source that has learned more, may change the figure; "
    "of a worst case, one of its sources"
).replace("%", " %")


UNMARKED = (
    f"no {MARK} at such figures: their ε was chosen so that the source is as often right as the published "
    "one, on other images, and so fooled on fewer"
)


def examples(name: str, column: Content) -> str:
    """How a column's examples were crafted, and how strong they are."""
    crafted = [each for each in column["crafted"] if each is not None]
    if not crafted:
        return f"{name}: no examples"
    attack = crafted[0]["attack"]
    epsilons = ", ".join(dict.fromkeys(in_greys(each["attack"]["epsilon"]) for each in crafted))
    clean, fooled = (
        ", ".join(_percent(each[key]) for each in crafted)
        for key in ("source_clean_accuracy", "source_fooling_rate")
    )
    source = column["source"]
    whose = f"{source} (the weakest row's)" if source in ROW_SOURCES else source
    return (
        f"{name}: {attack['name']} on {whose}, ε {epsilons}{_steps(attack)}; "
        f"the source classifies {clean} % of clean images correctly, and is fooled on {fooled} % of those"
    )


def described(attack: Content) -> str:
    """An attack by all that it reads and nothing else, in whatever words a table's file has it."""
    return f"{attack['name']}, ε {in_greys(attack['epsilon'])}{_steps(attack)}"


def _steps(attack: Content) -> str:
    """What the attack does, of what it reads alone; older tables have the other settings too."""
    read = settings_read(attack["name"])
    steps = f", {counted(attack['steps'], 'step')}" if "steps" in read else ""
    length = f" of {in_greys(attack['step_size'])}" if "step_size" in read and attack["step_size"] else ""
    start = ", random start" if "random_start" in read and attack["random_start"] else ""
    return f"{steps}{length}{start}"


def own_sources(table: Content) -> list[str]:
    """How strong each row's examples are, where each has a source of its own; older tables do not say."""
    found = []
    for name, column in table["columns"].items():
        rates = {
            network: ", ".join("–" if each is None else _percent(each) for each in rate)
            for network, row in table["networks"].items()
            if (rate := row[name].get("source_fooling_rate"))
        }
        if rates:
            rows = "; ".join(f"{network} {rate} %" for network, rate in rates.items())
            found.append(f"{name}: each row's {column['source']} is fooled on: {rows}")
    return found


def is_weak(table: Content, row: Content, name: str) -> bool:
    """Whether the examples of a row's figure hardly fool their own source, with some seed.

    Where the network itself is attacked, how often it is fooled is the figure itself; where epsilon is
    calibrated and the published accuracy was within its reach, it was chosen.
    """
    column = table["columns"][name]
    if row[name]["mean"] is None:
        return False
    if of := column.get("worst_of"):
        return any(is_weak(table, row, each) for each in of)
    if column["source"] in (None, ITSELF) or is_calibrated(table, column):
        return False
    if column["source"] in ROW_SOURCES:
        rates = row[name].get("source_fooling_rate", [])
    else:
        rates = [each and each["source_fooling_rate"] for each in column["crafted"]]
    return any(each is not None and each["hits"] < STRONG * each["count"] for each in rates)


def is_calibrated(table: Content, column: Content) -> bool:
    """Whether a column's epsilon is calibrated, and the published accuracy within reach with every seed."""
    data = column["data"] or EVOLVED_ON
    return bool(column.get("calibrated")) and not any(
        each["clamped"] and each.get("data", data) == data
        for found in table["calibration"]
        for each in calibrations(found)
    )


def calibrations(found: object) -> list[Content]:
    """A seed's calibrations; older tables have one or none, of the only data set."""
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else []


def _percent(share: Content) -> str:
    return f"{100 * share['hits'] / share['count']:.1f}" if share["count"] else "–"
