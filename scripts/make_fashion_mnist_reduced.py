"""Makes the reduced Fashion-MNIST that ships with the package from the four published idx files.

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb unpacked
    python scripts/make_fashion_mnist_reduced.py unpacked/usr/share/datasets/fashion-mnist

Of each class 1,000 training and 100 test images are drawn without replacement by numpy's
default_rng(0), training first; rows stay in the order of the full set.
"""

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TARGET = Path(__file__).parents[1] / "src/contragrad/data/fashion_mnist_reduced.npz"
PUBLISHED_MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}

Bytes = NDArray[np.uint8]


def read_idx(folder: Path, name: str) -> Bytes:
    """The array of an idx file, packed or not, after a check of its published MD5."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != PUBLISHED_MD5[name]:
        sys.exit(f"{folder / name}: MD5 {found}, published {PUBLISHED_MD5[name]}")
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def draw(labels: Bytes, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Rows of `count` images of each class, ascending."""
    return np.sort(
        np.concatenate([random.choice(np.flatnonzero(labels == c), count, replace=False) for c in range(10)])
    )


def main(folder: Path) -> None:
    """Writes the file."""
    arrays: dict[str, Bytes] = {}
    random = np.random.default_rng(0)
    for part, prefix, count in (("train", "train", 1000), ("test", "t10k", 100)):
        labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte")
        rows = draw(labels, count, random)
        arrays[f"x_{part}"] = read_idx(folder, f"{prefix}-images-idx3-ubyte")[rows]
        arrays[f"y_{part}"] = labels[rows]
    np.savez_compressed(TARGET, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
