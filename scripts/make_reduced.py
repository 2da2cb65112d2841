"""Draws the reduced set that the records' studies have from a full one in torchvision's layout.

    python scripts/make_reduced.py cifar10 FOLDER cifar10_reduced.npz
    python scripts/make_reduced.py fashion-mnist FOLDER fmnist_reduced.npz

Of each class 1,000 training and 100 test images, the same as in `make_fashion_mnist_reduced.py`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from make_fashion_mnist_reduced import Bytes, draw

from contragrad.data.dataset import Examples
from contragrad.data.sources import load
from contragrad.errors import UserError
from contragrad.settings.config import DataSettings


def drawn(examples: Examples, count: int, random: np.random.Generator) -> tuple[Bytes, Bytes]:
    """So many images of each class, uint8 (N, H, W) or (N, H, W, 3), and their labels."""
    labels = examples.labels.numpy().astype(np.uint8)
    rows = draw(labels, count, random)
    images = examples.images.numpy()[rows].transpose(0, 2, 3, 1)
    return images.squeeze(-1) if images.shape[-1] == 1 else images, labels[rows]


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", choices=("cifar10", "fashion-mnist"))
    parser.add_argument("folder", help="above torchvision's layout")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    try:
        dataset = load(DataSettings(source=options.source, path=options.folder))
    except UserError as error:
        sys.exit(str(error))
    random = np.random.default_rng(0)
    x_train, y_train = drawn(dataset.train, 1000, random)
    x_test, y_test = drawn(dataset.test, 100, random)
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez_compressed(options.out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
