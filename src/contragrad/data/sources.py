"""Where data sets come from: the user's files, published sets as torchvision lays them out, and our own."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torchvision.datasets
from PIL import Image

from contragrad.choices import DataSource
from contragrad.config import DataSettings
from contragrad.data.dataset import Array, Dataset, make_dataset, reduced
from contragrad.errors import UserError

T = TypeVar("T")

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
WITHOUT_PATH: tuple[DataSource, ...] = ("fashion-mnist-reduced", "digits")


def load(settings: DataSettings) -> Dataset:
    """The data set the settings name, checked.

    Raises:
        UserError: naming the file or folder, and what is wrong with it.
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
    return reduced(SOURCES[settings.source](settings), settings.train_per_class, settings.test_per_class)


def _path(settings: DataSettings) -> Path:
    assert settings.path is not None
    return Path(settings.path).expanduser()


def _embedded(settings: DataSettings) -> Dataset:
    with resources.as_file(resources.files("contragrad.data") / "fashion_mnist_reduced.npz") as path:
        return _from_npz(path)


def _npz(settings: DataSettings) -> Dataset:
    return _from_npz(_path(settings))


def _from_npz(path: Path) -> Dataset:
    remedy = f"an npz file with the arrays {', '.join(ARRAYS)}"
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UserError(f"the data cannot be read: {error}", where=str(path), remedy=remedy) from error
    with stream:
        try:
            file = np.load(stream, allow_pickle=False)
        except Exception as error:  # numpy and zipfile raise many things over a damaged file
            raise UserError(
                f"the file is no npz, or corrupt: {error}", where=str(path), remedy=remedy
            ) from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise UserError("this is a single array", where=str(path), remedy=remedy)
        if missing := [name for name in ARRAYS if name not in file.files]:
            raise UserError(f"there is no array {missing[0]}", where=str(path), remedy=remedy)
        arrays = [_array(file, name, path) for name in ARRAYS]
    return make_dataset(*arrays, where=str(path))


def _array(file: Any, name: str, path: Path) -> Array:
    where, remedy = f"{path}: {name}", "plain arrays of numbers in an intact file"
    try:
        found = file[name]
    except Exception as error:  # as above, and MemoryError for a header that promises too much
        raise UserError(f"the array cannot be read: {error}", where=where, remedy=remedy) from error
    if not isinstance(found, np.ndarray):  # numpy gives what is no array as bytes
        raise UserError("this is no array", where=where, remedy=remedy)
    return found


def _image_folder(settings: DataSettings) -> Dataset:
    root = _path(settings)
    names = [_class_folders(root / part) for part in ("train", "test")]
    if names[0] != names[1]:
        odd = sorted(set(names[0]) ^ set(names[1]))[0]
        raise UserError(
            f"class {odd} is in only one of train and test",
            where=str(root),
            remedy="the same class folders in both",
        )
    files = {
        part: [(path, label) for label, name in enumerate(names[0]) for path in _pictures(root / part / name)]
        for part in ("train", "test")
    }
    grey = all(_mode(path) in ("L", "1") for part in files.values() for path, _ in part)
    edge = settings.image_size
    size = (edge, edge) if edge is not None else _open(files["train"][0][0], grey).size
    arrays: list[Array] = []
    for part in ("train", "test"):
        arrays.append(np.stack([_picture(path, grey, size, settings) for path, _ in files[part]]))
        arrays.append(np.array([label for _, label in files[part]]))
    return make_dataset(*arrays, where=str(root), classes=len(names[0]))


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(
            "the folder is missing",
            where=str(folder),
            remedy="train/CLASS/*.png and test/CLASS/*.png below data.path",
        )
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if not found:
        raise UserError(
            "there is no class folder in this folder",
            where=str(folder),
            remedy="a folder of pictures for each class",
        )
    return found


def _pictures(folder: Path) -> list[Path]:
    endings = torchvision.datasets.folder.IMG_EXTENSIONS
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    if not found:
        raise UserError("there is no picture in this folder", where=str(folder), remedy="png or jpg files")
    return found


def _mode(path: Path) -> str:
    return _opened(path, lambda picture: picture.mode)


def _open(path: Path, grey: bool) -> Image.Image:
    def convert(picture: Image.Image) -> Image.Image:
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            raise UserError(
                "the picture has a transparent channel",
                where=str(path),
                remedy="pictures without transparency",
            )
        if picture.mode.startswith(("I", "F")):  # Pillow would cut off what is above 255
            raise UserError(
                f"the picture has more than 8 bits a channel (mode {picture.mode})",
                where=str(path),
                remedy="8-bit pictures, or an npz file with floats in [0, 1]",
            )
        return picture.convert("L" if grey else "RGB")

    return _opened(path, convert)


def _opened(path: Path, use: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(path) as picture:
            return use(picture)
    except UserError:
        raise
    except Exception as error:  # Pillow raises many things over a damaged picture
        raise UserError(
            f"the picture cannot be read: {error}", where=str(path), remedy="an intact png or jpg file"
        ) from error


def _picture(path: Path, grey: bool, size: tuple[int, int], settings: DataSettings) -> Array:
    picture = _open(path, grey)
    if settings.image_size is not None:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    elif picture.size != size:
        raise UserError(
            f"the picture is {picture.size[0]} x {picture.size[1]}, the first one {size[0]} x {size[1]}",
            where=str(path),
            remedy="data.image_size resizes all of them",
        )
    return np.asarray(picture)


def _torchvision(construct: Callable[..., Any], settings: DataSettings) -> Dataset:
    root = _path(settings)
    arrays: list[Array] = []
    try:
        for train in (True, False):
            # CIFAR-10's files are pickles; torchvision reads them only once their MD5 is the published one.
            part = construct(root=str(root), train=train, download=settings.download)
            arrays += [np.asarray(part.data), np.asarray(part.targets)]
    except Exception as error:  # torchvision raises whatever its readers and the network raise
        raise UserError(
            f"{settings.source} was not found, or is not intact: {error}",
            where=f"data.path: {root}",
            remedy=f"the folder {LAYOUT[settings.source]} below data.path, or --data.download true",
        ) from error
    return make_dataset(*arrays, where=str(root))


def _digits(settings: DataSettings) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            "the digits need scikit-learn",
            where="data.source: digits",
            remedy="pip install scikit-learn",
        ) from error
    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    # Every fifth image of a class is a test image.
    place = np.array([np.count_nonzero(labels[:row] == label) for row, label in enumerate(labels)])
    test = place % 5 == 4
    return make_dataset(images[~test], labels[~test], images[test], labels[test], where="digits")


LAYOUT: dict[DataSource, str] = {
    "cifar10": "cifar-10-batches-py",
    "mnist": "MNIST/raw",
    "fashion-mnist": "FashionMNIST/raw",
    "kmnist": "KMNIST/raw",
}

SOURCES: dict[DataSource, Callable[[DataSettings], Dataset]] = {
    "fashion-mnist-reduced": _embedded,
    "npz": _npz,
    "image-folder": _image_folder,
    "cifar10": lambda settings: _torchvision(torchvision.datasets.CIFAR10, settings),
    "mnist": lambda settings: _torchvision(torchvision.datasets.MNIST, settings),
    "fashion-mnist": lambda settings: _torchvision(torchvision.datasets.FashionMNIST, settings),
    "kmnist": lambda settings: _torchvision(torchvision.datasets.KMNIST, settings),
    "digits": _digits,
}
