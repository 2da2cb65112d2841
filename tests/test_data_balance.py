"""Class imbalance is told with numbers, and chance is the largest class's share."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from contragrad.data import npz
from contragrad.data.balance import chance, remarks
from contragrad.data.dataset import Dataset, make_dataset
from contragrad.jobs import entry
from contragrad.settings.config import DataSettings, StudyConfig
from contragrad.watch.events import Event, Said


def of(train: list[int], test: list[int]) -> Dataset:
    """A data set with so many images of each class."""
    labels = [np.repeat(np.arange(len(counts)), counts) for counts in (train, test)]
    images = [np.zeros((len(part), 2, 2), np.uint8) for part in labels]
    return make_dataset(images[0], labels[0], images[1], labels[1], where="here", classes=len(train))


def test_a_balanced_set_has_nothing_to_be_told() -> None:
    assert remarks(of([10, 20, 15], [5, 10, 7])) == ()


def test_rare_training_images_are_told() -> None:
    (said,) = remarks(replace(of([10, 21, 15], [5, 5, 5]), class_names=("ant", "bee", "c\x1b[2Jt")))
    assert "training images are not balanced: 21 of class bee and 10 of class ant" in said


def test_accuracies_that_one_class_carries_are_told_with_what_a_constant_answer_scores() -> None:
    dataset = of([10, 10, 10], [1, 7, 2])
    assert chance(dataset.test) == 0.7
    (said,) = remarks(dataset)
    assert "7 of class 1 and 1 of class 0" in said
    assert "70.0 % is what the constant answer 1 scores" in said


def test_classes_without_test_images_are_told() -> None:
    names = tuple(f"k\n{label}" for label in range(6))
    said = remarks(replace(of([5] * 6, [0, 4, 0, 4, 0, 0]), class_names=names))
    assert "without test images: k\\n0, k\\n2, k\\n4, ..." in said[0]


def test_a_study_tells_its_watcher_once_when_it_reads_the_data(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    npz.write(path, of([30, 5], [9, 1]), {"classes": ["ant", "bee"]})
    config = StudyConfig(data=DataSettings(source="npz", path=str(path)))
    events: list[Event] = []
    entry.entered(config, tmp_path / "run", events.append)
    assert [event.text.split(";")[0] for event in events if isinstance(event, Said)] == [
        f"{path}: training images are not balanced: 30 of class ant and 5 of class bee",
        f"{path}: test images are not balanced: 9 of class ant and 1 of class bee",
    ]


def test_a_study_of_balanced_data_says_nothing(tmp_path: Path) -> None:
    events: list[Event] = []
    entry.entered(StudyConfig(), tmp_path / "run", events.append)
    assert not [event for event in events if isinstance(event, Said)]
