"""How the images are shared out among the classes, and what that means for accuracies."""

from collections.abc import Iterator
from itertools import islice

import torch

from contragrad.data.dataset import Dataset, Examples
from contragrad.legible import legible

FACTOR = 2
"""How often larger than the smallest the largest class may be before it is told."""


def counts(examples: Examples, classes: int) -> list[int]:
    """Images of each class."""
    return torch.bincount(examples.labels, minlength=classes).tolist()


def chance(examples: Examples) -> float:
    """The share of the images that are of their largest class: what a constant answer scores."""
    return int(torch.bincount(examples.labels).max()) / len(examples)


def remarks(dataset: Dataset) -> tuple[str, ...]:
    """What a reader of the data set's accuracies must know of its classes; nothing if they are balanced."""
    return tuple(_remarks(dataset))


def _remarks(dataset: Dataset) -> Iterator[str]:
    names = dataset.class_names

    def name(label: int) -> str:
        return str(label) if names is None else legible(names[label])

    def extremes(of: list[int]) -> str:
        large, small = (f"{count:,} of class {name(of.index(count))}" for count in (max(of), min(of)))
        return f"{large} and {small}"

    train, test = (counts(part, dataset.classes) for part in (dataset.train, dataset.test))
    if max(train) > FACTOR * min(train):
        yield f"training images are not balanced: {extremes(train)}; networks learn rare classes least"
    if empty := list(islice((label for label, count in enumerate(test) if not count), 4)):
        which = ", ".join(map(name, empty[:3])) + (", ..." if len(empty) > 3 else "")
        yield f"accuracies say nothing of the classes without test images: {which}"
    if max(test) > FACTOR * min(test):
        constant = 100 * chance(dataset.test)
        yield (
            f"test images are not balanced: {extremes(test)}; accuracies are mostly those of the large "
            f"classes, and {constant:.1f} % is what the constant answer {name(test.index(max(test)))} scores"
        )
