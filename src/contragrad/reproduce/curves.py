"""How the trainings of a table's rows went: for how many epochs, and which one's weights were kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contragrad.jobs.curve import Curve
from contragrad.reproduce.definition import DataName
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.setups import EVOLVED_ON


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a training went whose best epoch was kept.

    Args:
        fitness: after each epoch.
        planned: epochs it may have taken.
        patience: epochs without a better fitness after which it was to end, see `RefineSettings`.
    """

    fitness: tuple[float, ...]
    planned: int
    patience: int | None


Courses = Mapping[DataName | None, Mapping[str, Course]]
"""Data set -> network -> how its training went."""


def content(found: Sequence[Courses]) -> Content:
    """How trainings went, as plain JSON, each seed's; empty if nothing was remembered.

    Args:
        found: a seed's each.
    """
    seeds = [
        [
            {"data": data or EVOLVED_ON, "network": network, **_course(course)}
            for data, networks in of.items()
            for network, course in networks.items()
        ]
        for of in found
    ]
    return {"curves": seeds} if any(seeds) else {}


def _course(course: Course) -> Content:
    curve = Curve(fitness=list(course.fitness))
    return {
        "planned": course.planned,
        "epochs": curve.epochs,
        "best_epoch": curve.best_epoch,
        "flat": None if course.patience is None else curve.is_flat(course.patience),
        "fitness": list(course.fitness),
    }


def planned(table: Content) -> list[str]:
    """For how many epochs networks were to be trained, for people; older tables do not say."""
    names: dict[str, list[str]] = {}
    seeds: list[dict[str, int]] = table.get("epochs", [])
    for name in dict.fromkeys(name for seed in seeds for name in seed):
        counts = sorted({seed[name] for seed in seeds if name in seed})
        names.setdefault(" or ".join(map(str, counts)), []).append(name)
    return [f"epochs of training, at most {counts}: {'; '.join(of)}" for counts, of in names.items()]


FLAT = {None: "", True: ", flat", False: ", not flat"}
"""Whether a curve became flat, if the training was to end by that."""


def lines(table: Content) -> list[str]:
    """How long networks were trained, and which epoch was kept, for people; of whom that is known."""
    found = []
    for seed, curves in zip(table["seeds"], table.get("curves", ()), strict=False):
        for data in dict.fromkeys(each["data"] for each in curves):
            said = "; ".join(
                f"{each['network']} {each['best_epoch']} of {each['epochs']}{FLAT[each['flat']]}"
                for each in curves
                if each["data"] == data
            )
            found.append(f"epoch whose weights were kept, of those trained, {data}, seed {seed}: {said}")
    return found
