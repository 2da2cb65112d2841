"""Image sets of the Hugging Face hub, or saved by its library, if that is installed."""

from pathlib import Path
from typing import Any

import numpy as np

from contragrad.data import memory
from contragrad.data.arrays import Arrays
from contragrad.data.dataset import Array
from contragrad.data.pictures import GREY, pixels
from contragrad.errors import UserError
from contragrad.extras import lacking


def read(name: str, test: str, edge: int | None) -> Arrays:
    """The arrays of a set.

    Args:
        name: of a set on the hub, which the library fetches, or the folder that one was saved to.
        test: the split that the test images are in.
        edge: edge in pixels of the square that each is stretched to; None needs them to have one size.

    Raises:
        UserError: if the library is missing or cannot have the set, or it is none of pictures with classes.
    """
    splits = _splits(name)
    if "train" not in splits:
        raise UserError(
            f"there is no split train, but {', '.join(splits)}", where=name, remedy="a set with one"
        )
    parts = [splits["train"], *([splits[test]] if test in splits else [])]
    features = parts[0].features
    picture = _column(features, "Image", name)
    label = _column(features, "ClassLabel", name)
    classes = tuple(features[label].names)
    grey = all(part[row][picture].mode in GREY for part in parts for row in range(len(part)))
    images = [_images(part, picture, grey, edge, name, len(classes)) for part in parts]
    labels = [np.array(list(part[label]), np.int64) for part in parts]
    held_out = {"x_test": images[1], "y_test": labels[1]} if len(parts) > 1 else {}
    return Arrays(x_train=images[0], y_train=labels[0], classes=classes, **held_out)


def _splits(name: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise lacking("datasets", "huggingface", job="a set of Hugging Face", where=name) from error
    try:
        return datasets.load_from_disk(name) if Path(name).is_dir() else datasets.load_dataset(name)
    except Exception as error:  # the library raises whatever its readers and the network raise
        raise UserError(
            f"the set cannot be had: {type(error).__name__}: {error}",
            where=name,
            remedy="OWNER/NAME of a set on the hub, or the folder that one was saved to with its splits",
        ) from error


def _column(features: Any, kind: str, name: str) -> str:
    found: list[str] = [column for column, feature in features.items() if type(feature).__name__ == kind]
    if len(found) != 1:
        raise UserError(
            f"there are {len(found)} columns of the type {kind}, not one: {', '.join(features)}",
            where=name,
            remedy="a set for image classification",
        )
    return found[0]


def _images(part: Any, column: str, grey: bool, edge: int | None, name: str, classes: int) -> Array:
    where = f"{name}, {part.split}, row {{}}"
    first = pixels(part[0][column], grey, where.format(0), edge)
    shape = (len(part), *first.shape)
    memory.require_images(shape, classes, held=2, where=name)
    found = np.empty(shape, np.uint8)
    for row in range(len(part)):
        picture = pixels(part[row][column], grey, where.format(row), edge)
        if picture.shape != first.shape:
            raise UserError(
                f"the picture is {picture.shape[1]} x {picture.shape[0]}, the first one "
                f"{first.shape[1]} x {first.shape[0]}",
                where=where.format(row),
                remedy="--size stretches all of them to one square",
            )
        found[row] = picture
    return found
