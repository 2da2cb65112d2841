"""How the trainings of a table's rows went: for how many epochs, and which one's weights were kept."""

from collections.abc import Mapping, Sequence
from math import isnan

from contragrad.jobs.curve import Curve
from contragrad.reproduce.definition import DataName
from contragrad.reproduce.experiment import EVOLVED_ON
from contragrad.reproduce.provenance import Content

Fitness = Mapping[DataName | None, Mapping[str, Sequence[float]]]
"""Data set -> network -> fitness after each epoch."""


def content(found: Sequence[Fitness]) -> Content:
    """The curves as plain JSON, each seed's; empty if none was remembered.

    Args:
        found: a seed's each.
    """
    seeds = [
        [
            {"data": data or EVOLVED_ON, "network": network, **_curve(Curve(fitness=list(fitness)))}
            for data, networks in of.items()
            for network, fitness in networks.items()
        ]
        for of in found
    ]
    return {"curves": seeds} if any(seeds) else {}


def _curve(curve: Curve) -> Content:
    return {
        "epochs": curve.epochs,
        "best_epoch": curve.best_epoch,
        "fitness": [None if isnan(each) else each for each in curve.fitness],
    }


def lines(table: Content) -> list[str]:
    """How long each network was trained, and which epoch was kept, for people."""
    found = []
    for seed, curves in zip(table["seeds"], table.get("curves", ()), strict=False):
        for data in dict.fromkeys(each["data"] for each in curves):
            said = "; ".join(
                f"{each['network']} {each['best_epoch']} of {each['epochs']}"
                for each in curves
                if each["data"] == data
            )
            found.append(f"epoch whose weights were kept, {data}, seed {seed}: {said}")
    return found
