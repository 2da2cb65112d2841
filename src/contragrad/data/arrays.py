"""Images and labels as they were read, before the gate; test images held out where nobody has."""

from dataclasses import dataclass, replace

import numpy as np

from contragrad.data.dataset import Array, Dataset, make_dataset
from contragrad.errors import UserError
from contragrad.fingerprint import stream
from contragrad.legible import legible


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrays:
    """What a source holds, of the shapes that `make_dataset` takes.

    Args:
        x_train: training images.
        y_train: their classes.
        x_test: test images; None if the source has none.
        y_test: their classes.
        classes: names of the classes, in the order of their numbers; None if the source has none.
    """

    x_train: Array
    y_train: Array
    x_test: Array | None = None
    y_test: Array | None = None
    classes: tuple[str, ...] | None = None


def checked(arrays: Arrays, where: str) -> Dataset:
    """The data set of the arrays.

    Raises:
        UserError: if they are none, or there are no test images.
    """
    if arrays.x_test is None or arrays.y_test is None:
        raise UserError(
            "there are no test images",
            where=where,
            remedy="contragrad data import, with --test NAME of another part, or --hold-out 0.2",
        )
    count = None if arrays.classes is None else len(arrays.classes)
    dataset = make_dataset(
        arrays.x_train, arrays.y_train, arrays.x_test, arrays.y_test, where=where, classes=count
    )
    return replace(dataset, class_names=arrays.classes)


def hold_out(arrays: Arrays, share: float, where: str) -> Arrays:
    """The same share of each class's images, drawn once and for all, as test images.

    Raises:
        UserError: if there are test images already, or a class is too small to be divided.
    """
    if arrays.x_test is not None:
        raise UserError("there are test images already", where=where, remedy="leave --hold-out out")
    if not 0 < share < 1:
        raise UserError(f"{share:g} is no share", where="--hold-out", remedy="a number between 0 and 1")
    labels = arrays.y_train
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels).tolist():
        places = np.flatnonzero(labels == label).tolist()
        # One to test, and two that are divided again into training and validation.
        if len(places) < 3:
            name = label if arrays.classes is None else legible(arrays.classes[label])
            raise UserError(
                f"class {name} has {len(places)} images; training, validation and test need one each",
                where=where,
                remedy="more images of the class",
            )
        count = min(max(1, round(share * len(places))), len(places) - 2)
        held_out[stream(0, "test", label).sample(places, count)] = True
    return replace(
        arrays,
        x_train=arrays.x_train[~held_out],
        y_train=labels[~held_out],
        x_test=arrays.x_train[held_out],
        y_test=labels[held_out],
    )
