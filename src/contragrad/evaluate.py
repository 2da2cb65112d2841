"""The paper's Table 4: networks against the test images and the reference's adversarial examples."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from scipy.stats import binomtest
from torch import Tensor, nn

from contragrad.data.dataset import Examples
from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.networks.inference import predict
from contragrad.networks.network import parameter_count

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
        parameters: trainable parameters.
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
    try:
        return tuple(
            Row(**entry | {key: tuple(entry[key]) for key in ("clean_interval", "adversarial_interval")})
            for entry in json.loads(path.read_text(encoding="utf-8"))
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"the table cannot be read: {error}",
            where=str(path),
            remedy="the file removed: contragrad resume makes it again",
        ) from error
