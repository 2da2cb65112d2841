"""The four idx files of MNIST and its kin, packed or not, wherever they lie."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from contragrad.data import memory
from contragrad.data.arrays import Arrays
from contragrad.data.dataset import Array
from contragrad.errors import UserError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
PACKED = ".gz"
BYTES = 8
"""The type of the values, as idx numbers it: unsigned bytes, the only one of these sets."""


def find(folder: Path) -> tuple[Path, ...] | None:
    """The four files in a folder, unpacked ones first; None if the first of them is not there.

    Raises:
        UserError: if another one is missing.
    """
    found: list[Path] = []
    for name in FILES:
        there = [path for path in (folder / name, folder / (name + PACKED)) if path.is_file()]
        if not there and not found:
            return None
        if not there:
            raise UserError(
                f"the idx file {name} is missing", where=str(folder), remedy=f"{', '.join(FILES)}, or .gz"
            )
        found.append(there[0])
    return tuple(found)


def read(files: tuple[Path, ...]) -> Arrays:
    """Their arrays.

    Raises:
        UserError: naming the file that is none, is cut off, or promises more than there is memory for.
    """
    x_train, y_train, x_test, y_test = map(_array, files)
    return Arrays(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _array(path: Path) -> Array:
    remedy = "an intact idx file of unsigned bytes, gzip or not"
    try:
        with gzip.open(path) if path.suffix == PACKED else path.open("rb") as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != BYTES or not 1 <= head[3] <= 3:
                raise UserError("this is no idx file of images or labels", where=str(path), remedy=remedy)
            shape = [int.from_bytes(stream.read(4), "big") for _ in range(head[3])]
            promised = math.prod(shape)
            memory.require(2 * promised, "to read the file", where=str(path))
            # One byte more than promised tells a file that is longer.
            content = stream.read(promised + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"the file cannot be read: {error}", where=str(path), remedy=remedy) from error
    if len(content) != promised or not promised:
        raise UserError(
            f"the header promises {promised:,} values, and {len(content):,} or more are there",
            where=str(path),
            remedy=remedy,
        )
    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)
