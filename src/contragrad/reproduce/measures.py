"""The figures of the paper's tables, from what networks answer."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from contragrad.evaluate import Share
from contragrad.reproduce.definition import Measure

RATES: dict[Measure, str] = {
    "fooling rate": "of the images that source and network classify correctly, the share whose examples the "
    "network gets wrong",
    "fooling rate of the reference's": "of the images that the reference classifies correctly, the share "
    "that the network gets wrong as they are shown, be it without any attack",
}
"""What the paper calls fooling rates, for people."""


def lines(table: Mapping[str, Any]) -> list[str]:
    """What a table's columns measure that is no accuracy."""
    found = []
    for measure, text in RATES.items():
        names = [name for name, column in table["columns"].items() if column["measure"] == measure]
        if names:
            found.append(f"{', '.join(names)}: {text}; lower is better")
    return found


def cell(measure: Measure, right: Tensor, *, clean: Tensor, source: Tensor) -> Share:
    """A figure of one network.

    - `accuracy`: the share of images that are given their label;
    - `fooling rate`: of the images whose clean originals both the source and the network classify
      correctly, the share that the network does not;
    - `fooling rate of the reference's`: the same of those that the source classifies correctly.

    Args:
        measure: which.
        right: bool (N,), whether the network gives what was crafted of the test images, or them, their label.
        clean: the same of the network and the images themselves.
        source: the same of the network on which the examples were crafted, and the images themselves.

    Source: sections 3.2 (the accuracies), 4.2.2 and 4.2.3 (the fooling rates).
    """
    if measure == "accuracy":
        return Share.of(right)
    counted = source & clean if measure == "fooling rate" else source
    return Share.of(~right, counted)
