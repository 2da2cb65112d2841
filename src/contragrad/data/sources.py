"""Where data sets come from: the user's files, published sets as torchvision lays them out, and our own."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torchvision.datasets

from contragrad.data import folders, memory, npz
from contragrad.data.arrays import Arrays, checked
from contragrad.data.dataset import Dataset, reduced
from contragrad.errors import UserError
from contragrad.extras import lacking
from contragrad.settings.choices import DataSource
from contragrad.settings.config import DataSettings

WITHOUT_PATH: tuple[DataSource, ...] = ("fashion-mnist-reduced", "digits")


def load(settings: DataSettings, joined: int = 0) -> Dataset:
    """The data set the settings name, checked.

    Args:
        settings: where it is.
        joined: of what a study will hold beside it, see `memory.of_a_study`.

    Raises:
        UserError: naming the file or folder, and what is wrong with it, or how much memory there is not.
    """
    ships = settings.source in WITHOUT_PATH
    if ships and settings.path is not None:
        raise UserError(
            f"{settings.source} ships with the package and takes no path",
            where=f"data.path: {settings.path}",
            remedy="leave data.path out, or name the data.source of your own files",
        )
    if not ships and settings.path is None:
        raise UserError(
            f"{settings.source} needs a path",
            where="data.path",
            remedy="the file or folder that holds the images",
        )
    if settings.image_size is not None and settings.source != "image-folder":
        raise UserError(
            f"the images of {settings.source} are taken as they are",
            where=f"data.image_size: {settings.image_size}",
            remedy="leave it out, or data.source image-folder",
        )
    where = settings.source if settings.path is None else str(_path(settings))
    arrays = SOURCES[settings.source](settings)
    dataset = reduced(checked(arrays, where), settings.train_per_class, settings.test_per_class)
    images = len(dataset.train) + len(dataset.test)
    # What is to come: of what a study holds, the images are there already.
    size = dataset.train.images.element_size()
    held = memory.of_a_study(images, size, joined) - size
    memory.require_images((images, *dataset.shape), dataset.classes, held=held, where=where)
    return dataset


def _path(settings: DataSettings) -> Path:
    assert settings.path is not None
    return Path(settings.path).expanduser()


def _embedded(settings: DataSettings) -> Arrays:
    with resources.as_file(resources.files("contragrad.data") / "fashion_mnist_reduced.npz") as path:
        return npz.read(path)


def _npz(settings: DataSettings) -> Arrays:
    return npz.read(_path(settings))


def _image_folder(settings: DataSettings) -> Arrays:
    found = folders.find(_path(settings))
    # Whether there are colours is asked of all pictures, so that fewer of them are the first of the same set.
    grey = folders.all_grey(found)
    found = folders.reduced(found, settings.train_per_class, settings.test_per_class)
    return folders.load(found, settings.image_size, grey=grey, held=memory.of_a_study(len(found.pictures)))


def torchvision_set(
    construct: Callable[..., Any], root: Path, layout: str, *, name: str, download: bool = False
) -> Arrays:
    """A published set in torchvision's layout.

    Args:
        construct: torchvision's class of it.
        root: the folder that its files are below.
        layout: where they are there.
        name: of the set.
        download: fetch what is not there.

    Raises:
        UserError: if it is not there, or not the published one where torchvision checks that.
    """
    # Files of torchvision before 0.3, which it would unpickle in place of the others; CIFAR has none.
    place = root / layout
    if place.name == "raw" and (former := sorted(place.with_name("processed").glob("*.pt"))):
        raise UserError(
            "this is a pickle, which is not opened", where=str(former[0]), remedy="the file removed"
        )
    found = []
    try:
        for train in (True, False):
            # CIFAR's files are pickles; torchvision reads them only once their MD5 is the published one.
            part = construct(root=str(root), train=train, download=download)
            found += [np.asarray(part.data), np.asarray(part.targets)]
    except Exception as error:  # torchvision raises whatever its readers and the network raise
        by_hand = f"the folder {layout} below it"
        raise UserError(
            f"{name} was not found, or is not intact: {error}",
            where=f"data.path: {root}",
            remedy=f"again later, or {by_hand}, filled by hand"
            if download
            else f"{by_hand}, or --data.download true in a study",
        ) from error
    return Arrays(x_train=found[0], y_train=found[1], x_test=found[2], y_test=found[3])


def _torchvision(construct: Callable[..., Any], settings: DataSettings) -> Arrays:
    layout = LAYOUT[settings.source]
    return torchvision_set(
        construct, _path(settings), layout, name=settings.source, download=settings.download
    )


def _digits(settings: DataSettings) -> Arrays:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise lacking(
            "scikit-learn", "digits", job="the digits data set", where="data.source: digits"
        ) from error
    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    # Every fifth image of a class is a test image.
    place = np.array([np.count_nonzero(labels[:row] == label) for row, label in enumerate(labels)])
    test = place % 5 == 4
    return Arrays(x_train=images[~test], y_train=labels[~test], x_test=images[test], y_test=labels[test])


LAYOUT: dict[DataSource, str] = {
    "cifar10": "cifar-10-batches-py",
    "mnist": "MNIST/raw",
    "fashion-mnist": "FashionMNIST/raw",
    "kmnist": "KMNIST/raw",
}

SOURCES: dict[DataSource, Callable[[DataSettings], Arrays]] = {
    "fashion-mnist-reduced": _embedded,
    "npz": _npz,
    "image-folder": _image_folder,
    "cifar10": lambda settings: _torchvision(torchvision.datasets.CIFAR10, settings),
    "mnist": lambda settings: _torchvision(torchvision.datasets.MNIST, settings),
    "fashion-mnist": lambda settings: _torchvision(torchvision.datasets.FashionMNIST, settings),
    "kmnist": lambda settings: _torchvision(torchvision.datasets.KMNIST, settings),
    "digits": _digits,
}
