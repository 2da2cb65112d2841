"""npz files of images and labels: read once their headers promise what is there; written alike each time."""

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from contragrad.data import memory
from contragrad.data.arrays import Arrays
from contragrad.data.dataset import Array, Dataset
from contragrad.errors import UserError
from contragrad.files import named, writing
from contragrad.outside import from_json

NAMES = ("x_train", "y_train", "x_test", "y_test")
ORIGIN = "origin.json"
"""The member of the file that holds what an import noted."""

LONGEST_ORIGIN = 2**24
"""Its bytes."""

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can name; a later one would make each file another."""


def read(path: Path) -> Arrays:
    """The arrays x_train, y_train, x_test and y_test.

    No pickle is opened, and no memory is taken for more than the file holds and the machine has.

    Raises:
        UserError: naming the file or the array, and what is wrong with it.
    """
    remedy = f"an npz file with the arrays {', '.join(NAMES)}"
    with named(path, "the data cannot be read", remedy), _opened(path) as stream:
        if stream.read(6) == b"\x93NUMPY":
            raise UserError("this is a single array", where=str(path), remedy=remedy)
        try:
            archive = zipfile.ZipFile(stream)
        except Exception as error:  # zipfile raises many things over a damaged file
            raise UserError(
                f"the file is no npz, or corrupt: {error}", where=str(path), remedy=remedy
            ) from error
        with archive:
            there = archive.namelist()
            if missing := [name for name in NAMES if f"{name}.npy" not in there]:
                raise UserError(f"there is no array {missing[0]}", where=str(path), remedy=remedy)
            x_train, y_train, x_test, y_test = (_array(archive, name, path) for name in NAMES)
    return Arrays(
        x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, classes=_classes(origin(path))
    )


def origin(path: Path) -> dict[str, Any]:
    """What an import noted of where a file's arrays come from; nothing if it was not made by one.

    Raises:
        UserError: if the note is longer than any import would write.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(ORIGIN) as member:
            # A packed note may be a thousand times as long as the file, and its stated length may be a lie.
            text = member.read(LONGEST_ORIGIN + 1)
        if len(text) > LONGEST_ORIGIN:
            raise UserError(
                f"{ORIGIN} has more than {memory.bytes_text(LONGEST_ORIGIN)}",
                where=str(path),
                remedy="a file without it, or as contragrad data import writes it",
            )
        found = from_json(text.decode())
    except UserError:
        raise
    except Exception:  # as above
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, dataset: Dataset, origin: dict[str, Any]) -> None:
    """Writes the file whole; the same content gives the same bytes, with any zlib, for nothing is packed.

    Raises:
        UserError: if it cannot be written; what was there before is left.
    """
    arrays = dict(zip(NAMES, _parts(dataset), strict=True))
    text = json.dumps(origin, indent=2) + "\n"
    with writing(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", EARLIEST)
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
        archive.writestr(zipfile.ZipInfo(ORIGIN, EARLIEST), text)


def _opened(path: Path) -> IO[bytes]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise OSError("this is no file")
    return path.open("rb")


def _parts(dataset: Dataset) -> Iterator[Array]:
    """The arrays, channels last; grey images have no axis for them."""
    for part in (dataset.train, dataset.test):
        images = part.images.permute(0, 2, 3, 1).numpy()
        yield images[..., 0] if images.shape[-1] == 1 else images
        yield part.labels.numpy()


def _classes(origin: dict[str, Any]) -> tuple[str, ...] | None:
    names = origin.get("classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _array(archive: zipfile.ZipFile, name: str, path: Path) -> Array:
    where, remedy = f"{path}: {name}", "plain arrays of numbers in an intact file"
    try:
        entry = archive.getinfo(f"{name}.npy")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The others take memory before they give a byte; numpy writes none of them.
            raise UserError("the array is packed as numpy packs none", where=where, remedy=remedy)
        with archive.open(entry) as member:
            promised = _promised(member)
            held = entry.file_size - member.tell()
        if promised is None:
            raise UserError("Object arrays are pickles, which are not opened", where=where, remedy=remedy)
        if promised != held:
            raise UserError(
                f"the array's header promises {promised:,} bytes, and {held:,} are there",
                where=where,
                remedy=remedy,
            )
        # Once as it is, once in the order of memory that networks read.
        memory.require(2 * held, "to read the array", where=where)
        with archive.open(entry) as member:
            return np.lib.format.read_array(member, allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # as above, and numpy over a damaged header
        raise UserError(f"the array cannot be read: {error}", where=where, remedy=remedy) from error


def _promised(member: IO[bytes]) -> int | None:
    """The bytes that an array's header says will follow; None if they are a pickle."""
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format is for arrays of records")
    reads = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reads(member)
    if dtype.hasobject:
        return None
    if not dtype.itemsize or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of {dtype} has no shape {shape}")
    return math.prod((dtype.itemsize, *shape))
