"""Folders of pictures, a folder for each class, as torchvision's ImageFolder has them."""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from contragrad.data.arrays import Arrays
from contragrad.data.dataset import Array
from contragrad.data.pictures import ENDINGS, is_grey, read
from contragrad.data.stack import Refuse, stacked, stop
from contragrad.errors import UserError
from contragrad.legible import legible

Labelled = tuple[Path, int]
"""A picture's file and its class."""

Watch = Callable[[Iterable[Labelled]], Iterable[Labelled]]
"""What lets somebody see how far the reading has come."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the pictures lie.

    Args:
        root: the folder that holds all of them.
        classes: names of the class folders, in the order of their numbers.
        train: training pictures, class by class.
        test: test pictures; none if nobody has divided the pictures.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...] = ()

    @property
    def pictures(self) -> tuple[Labelled, ...]:
        """All of them."""
        return self.train + self.test


def find(root: Path, test: str = "test") -> Folders:
    """The pictures in `train/CLASS` and `test/CLASS`, or in another folder in the place of `test`.

    Classes are numbered by name, as torchvision does. What is hidden, or has no picture's ending, is passed
    over.

    Raises:
        UserError: if a folder is missing or empty, a class is in one part only, or there is one class.
    """
    parts = [_class_folders(root / part) for part in ("train", test)]
    if odd := sorted(set(parts[0]) ^ set(parts[1])):
        there = "train" if odd[0] in parts[0] else test
        more = f", and so are {len(odd) - 1} more" if len(odd) > 1 else ""
        raise UserError(
            f"class {legible(odd[0])} is in {there} and in only one of train and {test}{more}",
            where=str(root),
            remedy="the same class folders in both",
        )
    return Folders(root, tuple(parts[0]), _labelled(parts[0]), _labelled(parts[1]))


def find_undivided(root: Path) -> Folders:
    """The pictures in `CLASS`, which nobody has divided into training and test.

    Raises:
        UserError: as `find`.
    """
    classes = _class_folders(root)
    return Folders(root, tuple(classes), _labelled(classes))


def reduced(found: Folders, train_per_class: int | None, test_per_class: int | None) -> Folders:
    """The first pictures of each class, all of it where it has fewer, or where no number is given."""
    return replace(found, train=_first(found.train, train_per_class), test=_first(found.test, test_per_class))


def all_grey(found: Folders) -> bool:
    """Whether no picture says that it has colours; one that is damaged says nothing."""
    return all(_says_grey(path) for path, _ in found.pictures)


def _says_grey(path: Path) -> bool:
    try:
        return is_grey(path)
    except UserError:
        return True


def load(
    found: Folders,
    edge: int | None,
    *,
    grey: bool,
    held: int,
    watch: Watch = iter,
    refuse: Refuse = stop,
) -> Arrays:
    """The pictures' pixels.

    Args:
        found: the pictures.
        edge: edge in pixels of the square that each is stretched to; None needs them to have one size.
        grey: whether they are wanted in grey, or in colours.
        held: bytes that whoever asks will hold for each byte; refused before the reading if there are fewer.
        watch: is handed the pictures that are read.
        refuse: as `stacked` takes it.

    Raises:
        UserError: as `stacked`.
    """
    readings = ((str(path), partial(read, path, grey, edge)) for path, _ in watch(found.pictures))
    images = stacked(
        readings,
        len(found.pictures),
        len(found.classes),
        held=held,
        where=str(found.root),
        refuse=refuse,
    )
    labels = np.array([label for _, label in found.pictures])
    count = len(found.train)
    train: dict[str, Array] = {"x_train": images[:count], "y_train": labels[:count]}
    if not found.test:
        return Arrays(**train, classes=found.classes)
    return Arrays(**train, x_test=images[count:], y_test=labels[count:], classes=found.classes)


def _class_folders(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(
            "the folder is missing",
            where=str(folder),
            remedy="train/CLASS/*.png and test/CLASS/*.png below data.path; an import takes --test NAME too",
        )
    # A name may be written in two ways that look the same, and macOS has its own.
    entries = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    found = {unicodedata.normalize("NFC", entry.name): entry for entry in entries}
    if len(found) < 2 or len(found) < len(entries):
        number = (
            f"only one class folder, {legible(next(iter(found)))}," if len(found) == 1 else "no class folder"
        )
        raise UserError(
            f"there is {number} in this folder" if len(found) < 2 else "two class folders have one name",
            where=str(folder),
            remedy="a folder of pictures for each of two or more classes",
        )
    return {name: found[name] for name in sorted(found)}


def _labelled(classes: dict[str, Path]) -> tuple[Labelled, ...]:
    return tuple((path, label) for label, folder in enumerate(classes.values()) for path in _pictures(folder))


def _pictures(folder: Path) -> list[Path]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise UserError("there is no picture in this folder", where=str(folder), remedy="png or jpg files")
    return found


def _first(labelled: tuple[Labelled, ...], count: int | None) -> tuple[Labelled, ...]:
    taken: dict[int, int] = {}
    kept = []
    for path, label in labelled:
        taken[label] = taken.get(label, 0) + 1
        if count is None or taken[label] <= count:
            kept.append((path, label))
    return tuple(kept)
