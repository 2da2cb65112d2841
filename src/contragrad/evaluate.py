"""The paper's Table 4: networks against the test images and the reference's adversarial examples."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self, cast

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from contragrad.data.dataset import Examples
from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.networks.inference import predict
from contragrad.networks.network import parameter_count
from contragrad.outside import LONGEST_JSON, from_json, read_text

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A network's line in the table.

    Args:
        name: of the network.
        clean_accuracy: share of test images given their label, in [0, 1].
        adversarial_accuracy: the same of the adversarial examples crafted on the reference.
        clean_interval: 95 % Wilson interval of the clean accuracy.
        adversarial_interval: the same of the adversarial accuracy.
        parameters: how many the network has, frozen ones among them.
        images: test images.
        architecture: the network's text.
        weights: its safetensors file in the run folder, the normalisation inside.
    """

    name: str
    clean_accuracy: float
    adversarial_accuracy: float
    clean_interval: Interval
    adversarial_interval: Interval
    parameters: int
    images: int
    architecture: str
    weights: str = ""


def wilson(correct: int, count: int) -> Interval:
    """The 95 % Wilson score interval of a share: what sampling so few images leaves open."""
    found = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of images: `hits` of `count`."""

    hits: int
    count: int

    @classmethod
    def of(cls, hits: Tensor, among: Tensor | None = None) -> Self:
        """Of the images that count, those that are hits.

        Args:
            hits: bool (N,).
            among: which images count, bool (N,); all if left out.
        """
        counted = torch.ones_like(hits) if among is None else among
        return cls(int((counted & hits).sum()), int(counted.sum()))

    @property
    def share(self) -> float | None:
        """In [0, 1]; None where no image counts."""
        return self.hits / self.count if self.count else None

    @property
    def interval(self) -> Interval | None:
        """The share's 95 % Wilson interval."""
        return wilson(self.hits, self.count) if self.count else None


def row(
    name: str, architecture: str, weights: str, network: nn.Module, clean: Examples, adversarial: Tensor
) -> Row:
    """Measures a network on the clean images and on the adversarial examples made of them."""
    labels = clean.labels.cpu()
    right = [int((predict(network, images) == labels).sum()) for images in (clean.images, adversarial)]
    count = len(labels)
    return Row(
        name=name,
        clean_accuracy=right[0] / count,
        adversarial_accuracy=right[1] / count,
        clean_interval=wilson(right[0], count),
        adversarial_interval=wilson(right[1], count),
        parameters=parameter_count(network),
        images=count,
        architecture=architecture,
        weights=weights,
    )


def write(rows: tuple[Row, ...], path: Path) -> None:
    """Writes the table as a JSON list."""
    write_text(path, json.dumps([asdict(entry) for entry in rows], indent=1) + "\n")


def read(path: Path) -> tuple[Row, ...]:
    """The table that `write` wrote.

    Raises:
        UserError: if the file holds none.
    """
    remedy = "the file removed: contragrad resume makes it again"
    text = read_text(path, LONGEST_JSON, "the table cannot be read", remedy)
    try:
        stored = from_json(text)
        if not isinstance(stored, list):
            raise ValueError("it is no list of networks")
        return tuple(map(_row, stored))
    except ValueError as error:
        raise UserError(f"the table cannot be read: {error}", where=str(path), remedy=remedy) from error


def _row(stored: object) -> Row:
    """A row of plain values, held to what one can be."""
    if not isinstance(stored, dict) or not stored.keys() <= {field.name for field in fields(Row)}:
        raise ValueError("a row has other fields")
    found = dict(stored)
    for key in ("clean_interval", "adversarial_interval"):
        found[key] = interval(stored.get(key))
    for key in ("clean_accuracy", "adversarial_accuracy"):
        found[key] = share(stored.get(key))
    for key in ("parameters", "images"):
        if type(stored.get(key)) is not int or not 0 <= stored[key] < 2**63:
            raise ValueError(f"a row has no number of {key}")
    for key in ("name", "architecture"):
        if not isinstance(stored.get(key), str):
            raise ValueError(f"a row has no {key}")
    if not isinstance(stored.get("weights", ""), str) or "\0" in stored.get("weights", ""):
        raise ValueError("a row has no name of weights")
    return Row(**found)


def share(stored: object) -> float:
    """A share that a file holds.

    Raises:
        ValueError: if it is none.
    """
    if type(stored) not in (float, int) or not 0 <= (found := float(cast("float", stored))) <= 1:
        raise ValueError("a share is no number from 0 to 1")
    return found


def interval(stored: object) -> Interval:
    """An interval of shares that a file holds.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(stored, list) or len(stored) != 2:
        raise ValueError("an interval is no pair of shares")
    low, high = map(share, stored)
    if low > high:
        raise ValueError("an interval ends before it begins")
    return low, high
