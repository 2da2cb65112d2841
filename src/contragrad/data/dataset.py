"""Images with labels as checked values, and their division into training, validation and test."""

import hashlib
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contragrad.errors import UserError
from contragrad.fingerprint import fingerprint, stream

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Images (N, C, H, W), uint8 or float32 in [0, 1], and their classes (N,), int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A checked data set: training and test examples of the same shape and classes.

    Args:
        train: training examples.
        test: test examples.
        classes: how many there are.
        name: where it comes from.
        class_names: in the order of their numbers; None if the source has none.
    """

    train: Examples
    test: Examples
    classes: int
    name: str
    class_names: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def fingerprint(self) -> str:
        """Names the content; names and place are no part of it."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for tensor in (part.images, part.labels):
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return fingerprint("data/1", digest.hexdigest(), self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """What networks are trained on, what fitness is measured on, and what is looked at once."""

    train: Examples
    validation: Examples
    test: Examples


def pixels(images: Tensor) -> Tensor:
    """The images as float32 in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def split(dataset: Dataset, validation_fraction: float, seed: int) -> Splits:
    """Holds the same share of each class's training images out for validation; the test is untouched.

    Raises:
        UserError: if a class is too small to be divided.
    """
    labels = dataset.train.labels
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(dataset.classes):
        places = torch.nonzero(labels == label).flatten().tolist()
        if len(places) < 2:
            raise UserError(
                f"class {label} has {len(places)} training image; validation and training need one each",
                where=dataset.name,
                remedy="more images of the class",
            )
        count = min(max(1, round(validation_fraction * len(places))), len(places) - 1)
        held_out[stream(seed, "validation", label).sample(places, count)] = True
    return Splits(_rows(dataset.train, ~held_out), _rows(dataset.train, held_out), dataset.test)


def reduced(dataset: Dataset, train_per_class: int | None, test_per_class: int | None) -> Dataset:
    """The first images of each class, in their order; all where no number is given.

    Raises:
        UserError: if a class has fewer.

    Source: section 4.2.1: 1,000 training and 100 test images of each class of CIFAR-10.
    Deviates: the paper does not say which; the first ones.
    """
    return replace(
        dataset,
        train=_first_of_each(dataset, dataset.train, train_per_class, "train"),
        test=_first_of_each(dataset, dataset.test, test_per_class, "test"),
    )


def _first_of_each(dataset: Dataset, examples: Examples, count: int | None, part: str) -> Examples:
    if count is None:
        return examples
    chosen = torch.zeros(len(examples), dtype=torch.bool)
    for label in range(dataset.classes):
        places = torch.nonzero(examples.labels == label).flatten()[:count]
        if len(places) < count:
            raise UserError(
                f"class {label} has {len(places)} {part} images, not {count}",
                where=f"data.{part}_per_class, {dataset.name}",
                remedy=f"{len(places)} or fewer",
            )
        chosen[places] = True
    return _rows(examples, chosen)


def _rows(examples: Examples, chosen: Tensor) -> Examples:
    return Examples(examples.images[chosen], examples.labels[chosen])


def make_dataset(
    x_train: Array, y_train: Array, x_test: Array, y_test: Array, *, where: str, classes: int | None = None
) -> Dataset:
    """The one gate that every source's arrays go through.

    Args:
        x_train: (N, H, W) or (N, H, W, C) with C 1 or 3; uint8, or float in [0, 1].
        y_train: (N,) whole numbers from 0.
        x_test: as x_train.
        y_test: as y_train.
        where: the file or folder, for messages.
        classes: number of classes; one more than the largest training label if left out.

    Raises:
        UserError: naming the array and what is wrong with it.
    """
    train = Examples(_images(x_train, f"{where}: x_train"), _labels(y_train, f"{where}: y_train"))
    test = Examples(_images(x_test, f"{where}: x_test"), _labels(y_test, f"{where}: y_test"))
    for part, name in ((train, "train"), (test, "test")):
        if len(part.images) != len(part.labels):
            raise UserError(
                f"{len(part.images)} images have {len(part.labels)} labels",
                where=f"{where}: x_{name}, y_{name}",
                remedy="one label for each image",
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"training images are {(*train.images.shape[1:],)}, test images {(*test.images.shape[1:],)}",
            where=f"{where}: x_train, x_test",
            remedy="one shape for all images",
        )
    count = int(train.labels.max()) + 1 if classes is None else classes
    present = set(torch.unique(train.labels).tolist())
    # Labels may be far apart, so neither time nor memory may grow with the largest.
    empty = list(islice((label for label in range(count) if label not in present), 3))
    if count < 2 or empty:
        which = f", of which {' and '.join(map(str, empty))} have no training image" if empty else ""
        raise UserError(
            f"there are {count} classes{which}",
            where=f"{where}: y_train",
            remedy="labels 0 to K - 1 with K at least 2, each in the training set",
        )
    for labels, name in ((train.labels, "y_train"), (test.labels, "y_test")):
        if (labels >= count).any():
            raise UserError(
                f"label {int(labels.max())} is out of range",
                where=f"{where}: {name}",
                remedy=f"0 to {count - 1}: there are {count} classes",
            )
    return Dataset(train, test, count, where)


def _images(array: Array, where: str) -> Tensor:
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise UserError(
            f"an array of shape {array.shape} is no set of images",
            where=where,
            remedy="(images, height, width) or (images, height, width, channels) with 1 or 3 channels",
        )
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating):
            raise UserError(f"images of type {array.dtype}", where=where, remedy="uint8, or float in [0, 1]")
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # NaN fails too
            raise UserError(
                f"float images with values from {low:g} to {high:g}",
                where=where,
                remedy="floats in [0, 1] without NaN, or uint8 in 0 to 255",
            )
        array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def _labels(array: Array, where: str) -> Tensor:
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or not len(array):
        raise UserError(
            f"labels of type {array.dtype} and shape {array.shape}",
            where=where,
            remedy="whole numbers in one dimension",
        )
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.int64).max:
        wrong = lowest if lowest < 0 else highest
        raise UserError(f"label {wrong} is out of range", where=where, remedy="labels from 0 up")
    return torch.from_numpy(array.astype(np.int64))
