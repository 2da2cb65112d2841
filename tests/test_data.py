"""Data sets: what passes the gate keeps its content, what does not is named; splits and fingerprints."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from contragrad.data.dataset import Array, Dataset, Examples, make_dataset, pixels, reduced, split
from contragrad.errors import UserError

DTYPES = ("u1", "<f2", "<f4", ">f4", "<f8", ">f8")
LABEL_DTYPES = ("u1", "i1", "<i2", ">i4", "<i8", ">u8")


def sound(**changes: Any) -> dict[str, Any]:
    """Arrays of 4 classes that `make_dataset` takes, some of them changed."""
    right: dict[str, Any] = {
        "x_train": np.zeros((20, 6, 5), np.uint8),
        "y_train": np.arange(20) % 4,
        "x_test": np.zeros((8, 6, 5), np.uint8),
        "y_test": np.arange(8) % 4,
    }
    return right | changes


def labelled(labels: list[int], classes: int) -> Dataset:
    """A data set whose training image number n is n in grey, so that images can be told apart."""
    images = torch.arange(len(labels), dtype=torch.float32).view(-1, 1, 1, 1) / 1000
    test = Examples(torch.zeros(3, 1, 1, 1), torch.zeros(3, dtype=torch.int64))
    return Dataset(Examples(images, torch.tensor(labels)), test, classes, "somewhere.npz")


@st.composite
def image_arrays(draw: st.DrawFn, count: int, shape: tuple[int, ...]) -> Array:
    """Images of any type that is allowed, in either order of memory, and maybe a view with gaps."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    width = min(dtype.itemsize * 8, 64)
    elements = None if dtype.kind == "u" else st.floats(0, 1, width=width)  # type: ignore[arg-type]
    found = draw(arrays.arrays(dtype, (count, *shape), elements=elements))
    return draw(st.sampled_from((found, np.asfortranarray(found), np.repeat(found, 2, axis=0)[::2])))


@st.composite
def image_sets(draw: st.DrawFn) -> tuple[Array, Array, Array, Array, int]:
    """Four arrays that `make_dataset` must take, and their number of classes."""
    edge = st.integers(1, 6)
    shape = (draw(edge), draw(edge), *draw(st.sampled_from(((), (1,), (3,)))))
    classes = draw(st.integers(2, 4))
    more = st.lists(st.integers(0, classes - 1), max_size=4)
    train = draw(st.permutations([*range(classes), *draw(more)]))
    test = [draw(st.integers(0, classes - 1)), *draw(more)]
    dtype = draw(st.sampled_from(LABEL_DTYPES))
    return (
        draw(image_arrays(len(train), shape)),
        np.array(train, dtype),
        draw(image_arrays(len(test), shape)),
        np.array(test, dtype),
        classes,
    )


@given(image_sets())
def test_the_gate_keeps_the_content(parts: tuple[Array, Array, Array, Array, int]) -> None:
    *given_arrays, classes = parts
    dataset = make_dataset(*given_arrays, where="here")
    assert dataset.classes == classes
    for examples, images, labels in (
        (dataset.train, parts[0], parts[1]),
        (dataset.test, parts[2], parts[3]),
    ):
        count, height, width = images.shape[:3]
        channels = images.shape[3] if images.ndim == 4 else 1
        assert examples.images.shape == (count, channels, height, width)
        assert dataset.shape == (channels, height, width)
        assert examples.images.dtype == (torch.uint8 if images.dtype == np.uint8 else torch.float32)
        for channel in range(channels):
            plane = images[..., channel] if images.ndim == 4 else images
            expected = plane.astype(examples.images.numpy().dtype)
            assert np.array_equal(examples.images[:, channel].numpy(), expected)
        assert examples.labels.dtype == torch.int64
        assert examples.labels.tolist() == labels.tolist()
        shown = pixels(examples.images)
        assert shown.dtype == torch.float32
        assert ((shown >= 0) & (shown <= 1)).all()


def test_bytes_become_shares_of_255_and_floats_stay() -> None:
    assert pixels(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])
    floats = torch.tensor([0.0, 0.5, 1.0])
    assert torch.equal(pixels(floats), floats)


FLOATS = np.zeros((20, 6, 5))

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"x_train": np.zeros((20, 30), np.uint8)}, "x_train", "channels"),
    ({"x_train": np.zeros((), np.uint8)}, "x_train", "channels"),
    ({"x_train": np.zeros((20, 6, 5, 1, 1), np.uint8)}, "x_train", "channels"),
    ({"x_train": np.zeros((20, 6, 5, 4), np.uint8)}, "x_train", "1 or 3 channels"),
    ({"x_train": np.zeros((20, 3, 6, 5), np.uint8)}, "x_train", "1 or 3 channels"),
    ({"x_train": np.zeros((0, 6, 5), np.uint8)}, "x_train", "channels"),
    ({"x_train": np.zeros((20, 0, 5), np.uint8)}, "x_train", "channels"),
    ({"x_test": np.zeros((0, 6, 5), np.uint8)}, "x_test", "channels"),
    ({"x_train": np.zeros((20, 6, 5), np.int64)}, "x_train", "uint8"),
    ({"x_train": np.zeros((20, 6, 5), bool)}, "x_train", "uint8"),
    ({"x_train": np.zeros((20, 6, 5), complex)}, "x_train", "uint8"),
    ({"x_train": np.zeros((20, 6, 5), "<U3")}, "x_train", "uint8"),
    ({"x_test": FLOATS[:8] + 1.001}, "x_test", "[0, 1]"),
    ({"x_train": FLOATS - 0.001}, "x_train", "[0, 1]"),
    ({"x_train": FLOATS + np.inf}, "x_train", "[0, 1]"),
    ({"x_train": np.where(np.arange(5) == 3, np.nan, FLOATS)}, "x_train", "NaN"),
    ({"x_test": np.zeros((8, 5, 6), np.uint8)}, "x_train, x_test", "one shape"),
    ({"x_test": np.zeros((8, 6, 5, 3), np.uint8)}, "x_train, x_test", "one shape"),
    ({"y_train": np.arange(19) % 4}, "x_train, y_train", "one label for each"),
    ({"y_test": np.arange(9) % 4}, "x_test, y_test", "one label for each"),
    ({"y_train": np.arange(20) % 4 / 1}, "y_train", "whole numbers"),
    ({"y_train": np.arange(20) % 2 == 0}, "y_train", "whole numbers"),
    ({"y_train": np.eye(4, dtype=int)[np.arange(20) % 4]}, "y_train", "one dimension"),
    ({"y_test": np.zeros(0, int)}, "y_test", "whole numbers"),
    ({"y_train": np.array(["a"] * 20)}, "y_train", "whole numbers"),
    ({"y_train": np.arange(20) % 4 - 1}, "y_train", "from 0"),
    ({"y_test": np.arange(8) % 4 - 1}, "y_test", "from 0"),
    ({"y_train": np.full(20, 2**64 - 1, np.uint64)}, "y_train", "from 0"),
    ({"y_train": np.arange(20) % 4 + 1}, "y_train", "0 to K - 1"),
    ({"y_train": np.arange(20) % 4 * 2}, "y_train", "0 to K - 1"),
    ({"y_train": np.arange(20) % 4 * 10**17}, "y_train", "0 to K - 1"),
    ({"y_train": np.zeros(20, int), "y_test": np.zeros(8, int)}, "y_train", "at least 2"),
    ({"y_test": np.full(8, 4)}, "y_test", "0 to 3"),
    ({"classes": 3}, "y_train", "0 to 2"),
    ({"classes": 5}, "y_train", "each in the training set"),
]


@pytest.mark.parametrize(("changes", "array", "remedy"), REFUSED)
def test_a_refusal_names_the_array_and_the_remedy(changes: dict[str, Any], array: str, remedy: str) -> None:
    with pytest.raises(UserError) as refused:
        make_dataset(**sound(**changes), where="some.npz")
    assert refused.value.where == f"some.npz: {array}"
    assert remedy in refused.value.remedy
    assert len(refused.value.what) < 120


def test_missing_classes_are_named() -> None:
    with pytest.raises(UserError, match="of which 1 and 3 have no training image"):
        make_dataset(**sound(y_train=np.arange(20) % 3 * 2), where="here")


@given(st.data(), st.integers(2, 4), st.floats(0.01, 0.99), st.integers(0, 2**64))
def test_a_split_holds_the_same_share_of_each_class_out(
    data: st.DataObject, classes: int, fraction: float, seed: int
) -> None:
    sizes = data.draw(st.lists(st.integers(2, 30), min_size=classes, max_size=classes))
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    dataset = labelled(data.draw(st.permutations(labels)), classes)
    splits = split(dataset, fraction, seed)

    assert splits.test is dataset.test
    kept, held = (part.images.flatten().tolist() for part in (splits.train, splits.validation))
    assert not set(kept) & set(held)
    assert sorted(kept + held) == dataset.train.images.flatten().tolist()
    of_image = dict(zip(dataset.train.images.flatten().tolist(), dataset.train.labels.tolist(), strict=True))
    for part in (splits.train, splits.validation):
        assert [of_image[image] for image in part.images.flatten().tolist()] == part.labels.tolist()
    for label, size in enumerate(sizes):
        count = int((splits.validation.labels == label).sum())
        assert 1 <= count < size
        assert abs(count - fraction * size) <= 1


def test_a_split_is_named_by_its_seed() -> None:
    dataset = labelled([place % 2 for place in range(100)], 2)
    one, same, other = (split(dataset, 0.3, seed) for seed in (0, 0, 1))
    assert torch.equal(one.validation.images, same.validation.images)
    assert torch.equal(one.train.images, same.train.images)
    assert not torch.equal(one.validation.images, other.validation.images)


def test_a_split_is_drawn_at_random_and_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    held = split(labelled([place // 50 for place in range(100)], 2), 0.2, 0).validation.images
    assert torch.equal(torch.rand(1), expected)
    assert len(held) == 20
    assert float(held[:10].max()) > 0.02, "the first ten images of the class were held out"


def test_what_one_class_holds_out_does_not_depend_on_another() -> None:
    few = split(labelled([0] * 10 + [1] * 10, 2), 0.3, 7).validation
    many = split(labelled([0] * 10 + [1] * 15, 2), 0.3, 7).validation
    assert few.images[few.labels == 0].tolist() == many.images[many.labels == 0].tolist()


@given(st.data(), st.integers(2, 4), st.integers(1, 5))
def test_a_reduced_set_has_the_first_images_of_each_class(
    data: st.DataObject, classes: int, count: int
) -> None:
    sizes = data.draw(st.lists(st.integers(5, 9), min_size=classes, max_size=classes))
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    dataset = labelled(data.draw(st.permutations(labels)), classes)
    found = reduced(dataset, count, None)
    assert found.test is dataset.test
    whole = list(zip(dataset.train.labels.tolist(), dataset.train.images.flatten().tolist(), strict=True))
    kept = list(zip(found.train.labels.tolist(), found.train.images.flatten().tolist(), strict=True))
    for label in range(classes):
        expected = [pair for pair in whole if pair[0] == label][:count]
        assert [pair for pair in kept if pair[0] == label] == expected
    assert kept == [pair for pair in whole if pair in kept]


def test_a_set_is_not_reduced_to_more_than_there_is() -> None:
    with pytest.raises(UserError, match="class 1 has 1 train images, not 2") as refused:
        reduced(labelled([0, 0, 1, 0], 2), 2, None)
    assert refused.value.where.startswith("data.train_per_class")
    assert refused.value.remedy == "1 or fewer"


def test_a_class_of_one_image_cannot_be_split() -> None:
    with pytest.raises(UserError, match="class 1 has 1 training image") as refused:
        split(labelled([0, 0, 1, 0], 2), 0.5, 0)
    assert refused.value.where == "somewhere.npz"
    assert refused.value.remedy


def test_a_fingerprint_names_the_content_and_not_the_place() -> None:
    here = make_dataset(**sound(), where="here")
    there = make_dataset(**sound(), where="there")
    assert here.fingerprint == there.fingerprint


def test_a_fingerprint_does_not_depend_on_the_order_of_memory() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
    one, other = (
        make_dataset(**sound(x_train=layout), where="here") for layout in (images, np.asfortranarray(images))
    )
    strided = Examples(one.train.images.transpose(2, 3).contiguous().transpose(2, 3), one.train.labels)
    assert not strided.images.is_contiguous()
    again = Dataset(strided, one.test, one.classes, "here")
    assert one.fingerprint == other.fingerprint == again.fingerprint


def changed(array: Array) -> Array:
    found = array.copy()
    found[-1] = 1
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"x_train": changed(sound()["x_train"])},
        {"x_test": changed(sound()["x_test"])},
        {"y_train": changed(sound()["y_train"])},
        {"y_test": changed(sound()["y_test"])},
        {"x_train": FLOATS, "x_test": FLOATS[:8]},
        {"x_train": np.zeros((20, 5, 6), np.uint8), "x_test": np.zeros((8, 5, 6), np.uint8)},
        {"x_test": sound()["x_train"], "y_test": sound()["y_train"]},
        {"y_train": np.arange(20) % 4 % 3, "y_test": np.arange(8) % 3},
    ],
)
def test_a_fingerprint_changes_with_any_content(changes: dict[str, Any]) -> None:
    names = [make_dataset(**sound(**what), where="here").fingerprint for what in ({}, changes)]
    assert names[0] != names[1]


@settings(max_examples=30)
@given(st.integers(0, 19), st.integers(0, 5), st.integers(0, 4), st.integers(1, 255))
def test_a_fingerprint_changes_with_any_pixel(place: int, row: int, column: int, value: int) -> None:
    images = np.zeros((20, 6, 5), np.uint8)
    images[place, row, column] = value
    plain, other = (make_dataset(**sound(**what), where="") for what in ({}, {"x_train": images}))
    assert plain.fingerprint != other.fingerprint


def test_a_fingerprint_changes_with_the_number_of_classes() -> None:
    dataset = make_dataset(**sound(), where="here")
    more = Dataset(dataset.train, dataset.test, 5, dataset.name)
    assert dataset.fingerprint != more.fingerprint
