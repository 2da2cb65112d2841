"""Image sets of the Hugging Face hub, or saved by its library, if that is installed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from contragrad.data.arrays import Arrays
from contragrad.data.dataset import Array
from contragrad.data.pictures import GREY, pixels
from contragrad.data.stack import Refuse, stacked, stop
from contragrad.errors import UserError
from contragrad.extras import lacking

T = TypeVar("T")


def read(name: str, test: str, edge: int | None, refuse: Refuse = stop) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays of a set, and the revisions on the hub that its files are of, as far as they are noted.

    Args:
        name: of a set on the hub, which the library fetches, or the folder that one was saved to.
        test: the split that the test images are in.
        edge: edge in pixels of the square that each is stretched to; None needs them to have one size.
        refuse: as `stacked` takes it.

    Raises:
        UserError: if the library is missing or cannot have the set, it is none of pictures with classes,
            there is no room for it, or what `refuse` raises.
    """
    splits = _splits(name)
    if "train" not in splits:
        raise UserError(
            f"there is no split train, but {', '.join(splits)}", where=name, remedy="a set with one"
        )
    parts = [splits["train"], *([splits[test]] if test in splits else [])]
    features = parts[0].features
    column = _column(features, "Image", name)
    label = _column(features, "ClassLabel", name)
    classes = tuple(features[label].names)
    rows = [
        _Row(part, row, column, f"{name}, {part.split}, row {row}")
        for part in parts
        for row in range(len(part))
    ]
    grey = all(map(_says_grey, rows))
    readings = ((row.where, partial(_pixels, row, grey, edge)) for row in rows)
    images = stacked(readings, len(rows), len(classes), held=2, where=name, refuse=refuse)
    labels = [_labels(part, label, name) for part in parts]
    count = len(parts[0])
    held_out = {"x_test": images[count:], "y_test": labels[1]} if len(parts) > 1 else {}
    arrays = Arrays(x_train=images[:count], y_train=labels[0], classes=classes, **held_out)
    return arrays, _revisions(parts)


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


@dataclass(frozen=True, slots=True)
class _Row:
    part: Any
    number: int
    column: str
    where: str

    def use(self, use: Callable[[Image.Image], T]) -> T:
        """What is made of the row's picture, which the library decodes when it is asked for."""
        remedy = "a set whose rows have intact pictures"
        try:
            if (picture := self.part[self.number][self.column]) is None:
                raise UserError("there is no picture in this row", where=self.where, remedy=remedy)
            return use(picture)
        except UserError:
            raise
        except Exception as error:  # Pillow and the library raise many things over a damaged picture
            raise UserError(
                f"the picture cannot be read: {type(error).__name__}: {error}",
                where=self.where,
                remedy=remedy,
            ) from error


def _says_grey(row: _Row) -> bool:
    try:
        return row.use(lambda picture: picture.mode in GREY)
    except UserError:
        return True


def _pixels(row: _Row, grey: bool, edge: int | None) -> Array:
    return row.use(lambda picture: pixels(picture, grey, row.where, edge))


def _labels(part: Any, column: str, name: str) -> Array:
    found = list(part[column])
    if None in found:
        where = f"{name}, {part.split}, row {found.index(None)}"
        raise UserError("there is no class in this row", where=where, remedy="a set whose rows have classes")
    return np.array(found, np.int64)


def _revisions(parts: list[Any]) -> tuple[str, ...]:
    """Those in the addresses of the set's files, such as `hf://datasets/OWNER/NAME@REVISION/FILE`."""
    files = {file for part in parts for file in part.info.download_checksums or () if "@" in file}
    return tuple(sorted({file.partition("@")[2].partition("/")[0] for file in files}))
