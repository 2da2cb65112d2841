"""A table's rows beside its baseline, image by image: pairs tell more than two shares with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from rich.console import Group
from torch import Tensor

from contragrad.audit.statistics import mcnemar
from contragrad.evaluate import Interval
from contragrad.reproduce.blocks import block
from contragrad.reproduce.provenance import Content

NOTE = (
    "differences in points, each with its 95 % interval; p: McNemar's exact test with each seed, adjusted by "
    "Holm over the rows: of two trained networks, not of two methods"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How a network differs from the baseline on the same images.

    Args:
        gained: images that it is right on and the baseline is not.
        lost: the other way round.
        count: all images.
        p: of McNemar's exact test that it is right as often.
    """

    gained: int
    lost: int
    count: int
    p: float


def paired(network: Tensor, baseline: Tensor) -> Pair:
    """A network beside the baseline.

    Args:
        network: whether it is right on each image, bool (N,).
        baseline: the same of the baseline.
    """
    return Pair(
        gained=int((network & ~baseline).sum()),
        lost=int((baseline & ~network).sum()),
        count=len(network),
        p=mcnemar(network, baseline),
    )


def interval(gained: int, lost: int, count: int) -> Interval:
    """The 95 % interval around the difference of two accuracies on the same images.

    It is of the sampling of the images. Half an image is added to each of the four kinds, right in both, in
    one or in none, so that it has a width where no image differs.

    Source: Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", 2005.
    """
    total = count + 2
    difference = (gained - lost) / total
    reach = 1.96 * sqrt((gained + lost + 1) / total - difference**2) / sqrt(total)
    return max(-1.0, difference - reach), min(1.0, difference + reach)


def holm(values: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted so that one false alarm among all is as rare as one test says.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    ordered = sorted(range(len(values)), key=values.__getitem__)
    found, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(ordered):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        found[index] = largest
    return found


def entries(pairs: Mapping[str, Pair]) -> dict[str, Content]:
    """One column's pairs with one seed, by network, as plain JSON; p adjusted over the networks."""
    adjusted = holm([pair.p for pair in pairs.values()])
    return {
        name: {
            "gained": pair.gained,
            "lost": pair.lost,
            "count": pair.count,
            "interval": interval(pair.gained, pair.lost, pair.count),
            "p": pair.p,
            "p_holm": each,
        }
        for (name, pair), each in zip(pairs.items(), adjusted, strict=True)
    }


def tables(table: Content) -> list[Group]:
    """What the pairs come to, for people: each worst case's, or where there is none each attack's."""
    worst = [name for name, column in table["columns"].items() if "worst_of" in column]
    attacked = [name for name, column in table["columns"].items() if column["source"]]
    found = []
    for name in worst or attacked:
        rows = {
            network: _said(pairs)
            for network, row in table["networks"].items()
            if any(pairs := row[name].get("beside_baseline", []))
        }
        if rows:
            title = f"{name}, beside {table['baseline']} on the same images"
            found.append(block(title, [f"seed {seed}" for seed in table["seeds"]], rows))
    return found


def _said(pairs: Sequence[Content | None]) -> list[str]:
    return ["–" if pair is None else _difference(pair) for pair in pairs]


def _difference(pair: Content) -> str:
    gained, lost, count = pair["gained"], pair["lost"], pair["count"]
    # Older tables have none, or one that vanishes where no image differs.
    low, high = (_points(bound) for bound in interval(gained, lost, count))
    return f"{_points((gained - lost) / count)} [{low}, {high}] (p {pair['p_holm']:.2g})"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
