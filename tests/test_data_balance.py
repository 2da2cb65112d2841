"""Class imbalance is told with numbers, and chance is the largest class's share."""

import logging

import numpy as np
import pytest

from contragrad.config import DataSettings
from contragrad.data.balance import chance, remarks
from contragrad.data.dataset import Dataset, make_dataset
from contragrad.data.sources import load


def of(train: list[int], test: list[int]) -> Dataset:
    """A data set with so many images of each class."""
    labels = [np.repeat(np.arange(len(counts)), counts) for counts in (train, test)]
    images = [np.zeros((len(part), 2, 2), np.uint8) for part in labels]
    return make_dataset(images[0], labels[0], images[1], labels[1], where="here", classes=len(train))


def test_a_balanced_set_has_nothing_to_be_told() -> None:
    assert remarks(of([10, 20, 15], [5, 10, 7])) == ()


def test_rare_training_images_are_told() -> None:
    (said,) = remarks(of([10, 21, 15], [5, 5, 5]), ("ant", "bee", "c\x1b[2Jt"))
    assert "training images are not balanced: 21 of class bee and 10 of class ant" in said


def test_accuracies_that_one_class_carries_are_told_with_what_a_constant_answer_scores() -> None:
    dataset = of([10, 10, 10], [1, 7, 2])
    assert chance(dataset.test) == 0.7
    (said,) = remarks(dataset)
    assert "7 of class 1 and 1 of class 0" in said
    assert "70.0 % is what the constant answer 1 scores" in said


def test_classes_without_test_images_are_told() -> None:
    said = remarks(of([5] * 6, [0, 4, 0, 4, 0, 0]), [f"k\n{label}" for label in range(6)])
    assert "without test images: k\\n0, k\\n2, k\\n4, ..." in said[0]


def test_a_study_says_it_when_it_reads_the_data(
    tmp_path: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = of([30, 5], [9, 1])
    path = f"{tmp_path}/odd.npz"
    parts = {
        f"{name}_{part}": getattr(examples, field).numpy().squeeze()
        for part, examples in (("train", dataset.train), ("test", dataset.test))
        for name, field in (("x", "images"), ("y", "labels"))
    }
    np.savez(path, **parts)
    with caplog.at_level(logging.WARNING):
        load(DataSettings(source="npz", path=path))
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"{path}: training images are not balanced: 30 of class 0 and 5 of class 1",
        f"{path}: test images are not balanced: 9 of class 0 and 1 of class 1",
    ]
    caplog.clear()
    load(DataSettings())
    assert not caplog.records
