"""Sources: the user's files, published sets as torchvision lays them out, and what ships; good and bad."""

import gzip
import hashlib
import http.server
import io
import pickle
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from contragrad.data.dataset import Dataset
from contragrad.data.sources import LAYOUT, SOURCES, load
from contragrad.errors import UserError
from contragrad.settings.choices import DataSource
from contragrad.settings.config import DataSettings

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")

Bytes = NDArray[np.uint8]


def refused(source: DataSource, path: Path, *said: str, at: Path | str, **settings: Any) -> UserError:
    """Loading fails with an error that says these words, names the place and has a remedy."""
    with pytest.raises(UserError) as error:
        load(DataSettings(source=source, path=str(path), **settings))
    for word in said:
        assert word in str(error.value)
    assert error.value.where == str(at)
    assert error.value.remedy
    return error.value


def refusal(source: DataSource, path: Path, **settings: Any) -> UserError | None:
    """What is said against loading, if anything."""
    try:
        load(DataSettings(source=source, path=str(path), **settings))
    except UserError as error:
        return error
    return None


# What ships.


def test_the_embedded_set_is_reduced_fashion_mnist() -> None:
    dataset = load(DataSettings())
    assert dataset.shape == (1, 28, 28)
    assert dataset.classes == 10
    assert torch.bincount(dataset.train.labels).tolist() == [1000] * 10
    assert torch.bincount(dataset.test.labels).tolist() == [100] * 10
    assert float(dataset.train.images.float().mean() / 255) == pytest.approx(0.286, abs=0.003)


@pytest.mark.shared_data
@needs_shared_data
def test_the_embedded_set_is_a_part_of_the_published_one() -> None:
    ours = load(DataSettings())
    theirs = load(DataSettings(source="npz", path=str(SHARED / "fmnist_reduced.npz")))
    assert ours.fingerprint == theirs.fingerprint


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    dataset = load(DataSettings(source="digits"))
    images, labels = load_digits(return_X_y=True)
    assert dataset.shape == (1, 8, 8)
    assert dataset.classes == 10
    assert len(dataset.train) + len(dataset.test) == len(labels)
    whole = torch.bincount(torch.from_numpy(labels))
    found = torch.bincount(dataset.test.labels)
    assert torch.equal(found, whole // 5)
    ours = np.concatenate([part.images.numpy() for part in (dataset.train, dataset.test)])
    rows = np.round(ours.reshape(-1, 64) / (255 / 16)).astype(int)
    assert sorted(map(tuple, rows)) == sorted(map(tuple, images.astype(int)))
    assert ours.max() == 255


def test_the_digits_say_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match="needs scikit-learn") as error:
        load(DataSettings(source="digits"))
    assert error.value.remedy == "pip install 'contragrad[digits]'"


@pytest.mark.parametrize("source", ["fashion-mnist-reduced", "digits"])
def test_what_ships_takes_no_path(source: DataSource, tmp_path: Path) -> None:
    refused(source, tmp_path, "takes no path", source, at=f"data.path: {tmp_path}")


@pytest.mark.parametrize("source", sorted({*SOURCES} - {"fashion-mnist-reduced", "digits"}))
def test_everything_else_needs_a_path(source: DataSource) -> None:
    with pytest.raises(UserError, match=f"{source} needs a path") as error:
        load(DataSettings(source=source))
    assert error.value.where == "data.path"


# npz files.


def arrays(**changes: Any) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (28, 6, 5), np.uint8)
    right: dict[str, Any] = {
        "x_train": images[:20],
        "y_train": np.arange(20) % 4,
        "x_test": images[20:],
        "y_test": np.arange(8) % 4,
    }
    return right | changes


def npz_bytes(save: Callable[..., None] = np.savez, **changes: Any) -> bytes:
    file = io.BytesIO()
    save(file, **{name: value for name, value in arrays(**changes).items() if value is not None})
    return file.getvalue()


def from_npz(path: Path, content: bytes) -> Dataset:
    path.write_bytes(content)
    return load(DataSettings(source="npz", path=str(path)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_is_read_and_arrays_that_nobody_needs_are_not(
    save: Callable[..., None], tmp_path: Path
) -> None:
    dataset = from_npz(tmp_path / "data.npz", npz_bytes(save, notes=np.array(None, object)))
    right = arrays()
    for examples, part in ((dataset.train, "train"), (dataset.test, "test")):
        assert np.array_equal(examples.images[:, 0].numpy(), right[f"x_{part}"])
        assert np.array_equal(examples.labels.numpy(), right[f"y_{part}"])
    assert dataset.name == str(tmp_path / "data.npz")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_float_images_are_read_as_float32(dtype: Any, tmp_path: Path) -> None:
    shares = {name: (arrays()[name] / 255).astype(dtype) for name in ("x_train", "x_test")}
    dataset = from_npz(tmp_path / "data.npz", npz_bytes(**shares))
    assert dataset.train.images.dtype == torch.float32
    assert np.array_equal(dataset.train.images[:, 0].numpy(), shares["x_train"].astype(np.float32))


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data.npz").write_bytes(npz_bytes())
    assert load(DataSettings(source="npz", path="~/data.npz")).classes == 4


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test"])
def test_an_array_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    without: dict[str, Any] = {name: None}
    path.write_bytes(npz_bytes(**without))
    refused("npz", path, f"no array {name}", "x_train, y_train, x_test, y_test", at=path)


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "data.npz"
    trap = np.array([Trap(sprung)] * 20)
    path.write_bytes(npz_bytes(y_train=trap))
    refused("npz", path, "Object arrays", at=f"{path}: y_train")
    path.write_bytes(pickle.dumps(Trap(sprung)))
    refused("npz", path, at=path)
    np.save(tmp_path / "data.npy", trap)
    refused("npz", tmp_path / "data.npy", at=tmp_path / "data.npy")
    assert not sprung.exists()


def test_files_beside_cifars_folder_are_not_taken_for_pickles_of_it(tmp_path: Path) -> None:
    (tmp_path / "processed").mkdir()
    (tmp_path / "processed" / "model.pt").write_bytes(b"the user's own")
    error = refusal("cifar10", tmp_path)
    assert error is not None
    assert "cifar10 was not found" in error.what
    assert "pickle" not in str(error)


def test_what_is_no_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    refused("npz", path, "No such file", at=path)
    refused("npz", tmp_path, "this is no file", at=tmp_path)
    for content in (b"", b"hello", npz_bytes()[:200], npz_bytes()[:-30]):
        path.write_bytes(content)
        refused("npz", path, "npz", at=path)
    np.save(tmp_path / "data.npy", arrays()["x_train"])
    refused("npz", tmp_path / "data.npy", "single array", at=tmp_path / "data.npy")


def test_a_zip_of_other_things_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused("npz", path, "no array x_train", at=path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", "hello")
    refused("npz", path, "cannot be read", at=f"{path}: x_train")


def test_a_header_that_promises_too_much_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**7)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", file.getvalue())
        for name in ("y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", b"")
    said = "promises 80,000,000,000,000,000 bytes, and 0 are there"
    refused("npz", path, said, at=f"{path}: x_train")


DAMAGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3)


def damaged(content: bytes, damages: list[tuple[float, int]], cut: float) -> bytes:
    """The content with some bytes changed, and what is beyond the cut gone."""
    found = bytearray(content)
    for place, change in damages:
        found[int(place * len(found))] ^= change
    return bytes(found[: int(cut * len(found))])


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200)
@given(
    damages=DAMAGES, cut=st.just(1.0) | st.floats(0, 1), save=st.sampled_from((np.savez, np.savez_compressed))
)
def test_a_damaged_npz_is_never_worse_than_a_user_error(
    damages: list[tuple[float, int]],
    cut: float,
    save: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged(npz_bytes(save), damages, cut))
    error = refusal("npz", path)
    assert error is None or (str(path) in error.where and error.remedy)


# Folders of pictures.

GREY = np.random.default_rng(1).integers(0, 256, (40, 6, 5), np.uint8)
COLOUR = np.random.default_rng(2).integers(0, 256, (40, 6, 5, 3), np.uint8)


def folder(
    root: Path, images: Bytes = GREY, ending: str = "png", classes: tuple[str, ...] = ("b", "a")
) -> Path:
    """Three training pictures and two test pictures of each class."""
    place = iter(images)
    for part, count in (("train", 3), ("test", 2)):
        for name in classes:
            (root / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                Image.fromarray(next(place)).save(root / part / name / f"{number}.{ending}")
    return root


def from_folder(root: Path, **settings: Any) -> Dataset:
    return load(DataSettings(source="image-folder", path=str(root), **settings))


@pytest.mark.parametrize(("images", "channels"), [(GREY, 1), (COLOUR, 3)])
@pytest.mark.parametrize("ending", ["png", "bmp", "PNG", "tiff"])
def test_pictures_become_images_and_class_folders_labels(
    images: Bytes, channels: int, ending: str, tmp_path: Path
) -> None:
    dataset = from_folder(folder(tmp_path, images, ending))
    assert dataset.shape == (channels, 6, 5)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]
    # `folder` writes class b first; classes are numbered by name.
    written = torch.from_numpy(images).view(40, 6, 5, channels).permute(0, 3, 1, 2)
    assert torch.equal(dataset.train.images, written[[3, 4, 5, 0, 1, 2]])
    assert torch.equal(dataset.test.images, written[[8, 9, 6, 7]])


def test_grey_pictures_among_coloured_ones_become_coloured(tmp_path: Path) -> None:
    folder(tmp_path, COLOUR)
    Image.fromarray(GREY[0]).save(tmp_path / "train" / "a" / "0.png")
    dataset = from_folder(tmp_path)
    assert dataset.shape == (3, 6, 5)
    assert torch.equal(dataset.train.images[0], torch.from_numpy(GREY[0]).expand(3, 6, 5))


def test_black_and_white_pictures_become_grey_and_palettes_coloured(tmp_path: Path) -> None:
    folder(tmp_path)
    Image.fromarray(GREY[0]).convert("1", dither=Image.Dither.NONE).save(tmp_path / "train" / "a" / "0.png")
    dataset = from_folder(tmp_path)
    assert dataset.shape == (1, 6, 5)
    assert np.array_equal(dataset.train.images[0, 0].numpy(), (GREY[0] > 127) * np.uint8(255))
    Image.fromarray(GREY[0]).convert("P").save(tmp_path / "train" / "a" / "0.png")
    assert from_folder(tmp_path).shape == (3, 6, 5)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_pictures_that_lose_something_are_close(ending: str, tmp_path: Path) -> None:
    flat = np.repeat(np.arange(0, 240, 6, dtype=np.uint8), 90).reshape(40, 6, 5, 3)
    dataset = from_folder(folder(tmp_path, flat, ending))
    found = dataset.train.images[:, 0, 0, 0].float()
    assert torch.allclose(found, torch.tensor([18.0, 24, 30, 0, 6, 12]), atol=3)


def test_mixed_sizes_need_a_size(tmp_path: Path) -> None:
    folder(tmp_path, COLOUR)
    odd = tmp_path / "test" / "b" / "1.png"
    Image.fromarray(np.full((9, 4, 3), 7, np.uint8)).save(odd)
    refused("image-folder", tmp_path, "4 x 9", "5 x 6", "data.image_size", at=odd)
    dataset = from_folder(tmp_path, image_size=4)
    assert dataset.shape == (3, 4, 4)
    assert (dataset.test.images[-1] == 7).all()


def test_a_size_resizes_bilinearly(tmp_path: Path) -> None:
    root = folder(tmp_path, np.full((40, 8, 8), 9, np.uint8))
    halves = np.zeros((8, 8), np.uint8)
    halves[:, 4:] = 200
    Image.fromarray(halves).save(root / "train" / "a" / "0.png")
    dataset = from_folder(root, image_size=2)
    assert (dataset.train.images[1:] == 9).all()
    left, right = dataset.train.images[0, 0, 0].tolist()
    assert 0 < left < 50 < 150 < right < 200
    assert left + right == 200


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_alpha_channel_is_dropped_where_it_is_opaque_and_else_refused(mode: str, tmp_path: Path) -> None:
    plain = from_folder(folder(tmp_path, GREY))
    odd = tmp_path / "train" / "b" / "1.png"
    picture = Image.fromarray(GREY[1]).convert(mode)
    picture.save(odd)
    dataset = from_folder(tmp_path)
    assert dataset.shape == ((1, 6, 5) if mode == "LA" else (3, 6, 5))
    assert (dataset.train.images == plain.train.images).all()
    alpha = Image.new("L", (5, 6), 255)
    alpha.putpixel((4, 5), 254)
    picture.putalpha(alpha)
    picture.save(odd)
    refused("image-folder", tmp_path, "transparent", "background", at=odd)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_shade_is_refused_where_a_pixel_has_it(mode: str, tmp_path: Path) -> None:
    """PNG can say without an alpha channel that a grey, a colour or a palette's entry is transparent."""
    folder(tmp_path)
    odd = tmp_path / "train" / "b" / "1.png"
    picture = Image.new("L", (5, 6), 7).convert(mode)
    picture.save(odd, transparency=picture.getpixel((0, 0)))
    refused("image-folder", tmp_path, "transparent", at=odd)
    if mode != "P":
        picture.save(odd, transparency=8 if mode == "L" else (8, 8, 8))
        assert (from_folder(tmp_path).train.images[4] == 7).all()


@pytest.mark.parametrize(
    ("pixels", "ending"),
    [
        (np.full((6, 5), 300, np.uint16), "png"),
        (np.full((6, 5), 300, np.int32), "tiff"),
        (np.full((6, 5), 0.5, np.float32), "tiff"),
    ],
)
def test_more_than_8_bits_are_refused_rather_than_cut_off(
    pixels: NDArray[np.generic], ending: str, tmp_path: Path
) -> None:
    folder(tmp_path)
    odd = tmp_path / "train" / "b" / f"9.{ending}"
    Image.fromarray(pixels).save(odd)
    refused("image-folder", tmp_path, "8 bits", "npz", at=odd)


def test_a_class_in_only_one_part_is_named(tmp_path: Path) -> None:
    folder(tmp_path, classes=("a", "b", "c"))
    shutil.rmtree(tmp_path / "test" / "b")
    refused("image-folder", tmp_path, "class b", "train and test", at=tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    folder(tmp_path)
    for path in (tmp_path / "test" / "b").iterdir():
        path.rename(path.with_suffix(".txt"))
    refused("image-folder", tmp_path, "no picture", at=tmp_path / "test" / "b")


def test_a_part_that_is_missing_or_has_no_class_is_named(tmp_path: Path) -> None:
    refused("image-folder", tmp_path / "nowhere", "train/CLASS", at=tmp_path / "nowhere" / "train")
    (tmp_path / "train").mkdir()
    refused("image-folder", tmp_path, "no class folder", at=tmp_path / "train")
    folder(tmp_path)
    shutil.rmtree(tmp_path / "test")
    refused("image-folder", tmp_path, "missing", at=tmp_path / "test")


def test_one_class_is_too_few(tmp_path: Path) -> None:
    folder(tmp_path, classes=("a",))
    refused("image-folder", tmp_path, "only one class folder, a,", "two or more", at=tmp_path / "train")


def test_stray_files_are_no_classes_and_no_pictures(tmp_path: Path) -> None:
    folder(tmp_path)
    plain = from_folder(tmp_path)
    for place in (tmp_path, tmp_path / "train", tmp_path / "test" / "a"):
        (place / ".DS_Store").write_bytes(b"\0\1")
        (place / "labels.csv").write_text("a,b\n")
    Image.fromarray(GREY[0]).save(tmp_path / "train" / "stray.png")
    (tmp_path / "valid" / "c").mkdir(parents=True)
    assert from_folder(tmp_path).fingerprint == plain.fingerprint


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_corrupt_picture_is_named(content: bytes | None, tmp_path: Path) -> None:
    folder(tmp_path)
    odd = tmp_path / "train" / "a" / "2.png"
    odd.write_bytes(odd.read_bytes()[:-30] if content is None else content)
    refused("image-folder", tmp_path, "cannot be read", at=odd)


def test_a_picture_that_would_fill_the_memory_is_named(tmp_path: Path) -> None:
    folder(tmp_path)
    odd = tmp_path / "train" / "a" / "2.bmp"
    header = b"BM" + (54).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    sizes = b"".join(number.to_bytes(4, "little") for number in (40, 100_000, 100_000))
    odd.write_bytes(header + sizes + b"\1\0\x18\0" + bytes(24))
    refused("image-folder", tmp_path, "cannot be read", at=odd)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("pictures"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200)
@given(
    damages=DAMAGES,
    cut=st.just(1.0) | st.floats(0, 1),
    ending=st.sampled_from(("png", "jpg", "bmp", "tiff", "webp", "ppm")),
)
def test_a_damaged_picture_is_never_worse_than_a_user_error(
    damages: list[tuple[float, int]], cut: float, ending: str, pictures: Path
) -> None:
    file = io.BytesIO()
    Image.fromarray(COLOUR[0]).save(file, Image.registered_extensions()[f".{ending}"])
    odd = pictures / "train" / "a" / f"odd.{ending}"
    odd.write_bytes(damaged(file.getvalue(), damages, cut))
    error = refusal("image-folder", pictures, image_size=4)
    odd.unlink()
    assert error is None or (error.where == str(odd) and error.remedy)


# torchvision's data sets.

IDX = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
MNISTS: tuple[DataSource, ...] = ("mnist", "fashion-mnist", "kmnist")


def idx(values: Bytes) -> bytes:
    """An idx file: a magic number that holds type and dimensions, the sizes, the values."""
    numbers = (0x800 + values.ndim, *values.shape)
    return b"".join(number.to_bytes(4, "big") for number in numbers) + values.tobytes()


def idx_files(train: tuple[Bytes, Bytes], test: tuple[Bytes, Bytes]) -> dict[str, bytes]:
    parts = {"train": train, "test": test}
    return {
        name: idx(parts[part][0 if kind == "images" else 1].astype(np.uint8))
        for (part, kind), name in IDX.items()
    }


def small_idx_files() -> dict[str, bytes]:
    right = arrays()
    return idx_files((right["x_train"], right["y_train"]), (right["x_test"], right["y_test"]))


def write_all(place: Path, files: dict[str, bytes]) -> None:
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content)


def same_as_arrays(dataset: Dataset) -> bool:
    right = arrays()
    return all(
        np.array_equal(examples.images[:, 0].numpy(), right[f"x_{part}"])
        and np.array_equal(examples.labels.numpy(), right[f"y_{part}"])
        for examples, part in ((dataset.train, "train"), (dataset.test, "test"))
    )


@pytest.mark.parametrize("source", MNISTS)
@pytest.mark.parametrize("download", [False, True])
def test_idx_files_are_read_from_where_torchvision_puts_them(
    source: DataSource, download: bool, tmp_path: Path
) -> None:
    write_all(tmp_path / LAYOUT[source], small_idx_files())
    # Files that are there are not fetched, and small ones of ours would not have the published hash.
    assert same_as_arrays(load(DataSettings(source=source, path=str(tmp_path), download=download)))


@pytest.mark.parametrize("source", [*MNISTS, "cifar10"])
def test_a_folder_that_is_missing_is_named_with_the_right_one(source: DataSource, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        refused(source, root, source, f"the folder {LAYOUT[source]} below", at=f"data.path: {root}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", MNISTS)
@pytest.mark.parametrize("name", IDX.values())
def test_idx_files_that_are_missing_cut_or_something_else_are_refused(
    source: DataSource, name: str, tmp_path: Path
) -> None:
    raw = tmp_path / LAYOUT[source]
    files = small_idx_files()
    write_all(raw, files)
    for content in (files[name][:-7], files[name][:5], b"", b"hello", gzip.compress(files[name]), None):
        if content is None:
            (raw / name).unlink()
        else:
            (raw / name).write_bytes(content)
        refused(source, tmp_path, LAYOUT[source], at=f"data.path: {tmp_path}")


def test_images_and_labels_in_each_others_place_are_refused(tmp_path: Path) -> None:
    files = small_idx_files()
    images, labels = IDX["train", "images"], IDX["train", "labels"]
    write_all(tmp_path / LAYOUT["mnist"], files | {images: files[labels], labels: files[images]})
    refused("mnist", tmp_path, "MNIST/raw", at=f"data.path: {tmp_path}")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder's files without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packed idx files that torchvision takes for the published ones and a mirror of them."""
    place = tmp_path / "mirror"
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in small_idx_files().items()}
    write_all(place, packed)
    hashes = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", hashes)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=place)) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield place
        server.shutdown()
        thread.join()


def test_a_download_fetches_checks_and_unpacks(mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert same_as_arrays(load(DataSettings(source="mnist", path=str(root), download=True)))
    shutil.rmtree(mirror)
    assert same_as_arrays(load(DataSettings(source="mnist", path=str(root))))


def test_packed_files_that_are_there_are_unpacked_and_not_fetched(mirror: Path, tmp_path: Path) -> None:
    mirror.rename(tmp_path / "raw")
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "raw").rename(tmp_path / "MNIST" / "raw")
    assert same_as_arrays(load(DataSettings(source="mnist", path=str(tmp_path), download=True)))


def test_a_download_that_is_not_what_was_published_is_refused(mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (mirror / f"{IDX['test', 'images']}.gz").write_bytes(gzip.compress(b"other"))
    refused("mnist", root, "MNIST/raw", at=f"data.path: {root}", download=True)


def test_a_mirror_that_does_not_answer_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody answers
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
        refused("mnist", tmp_path, address, "MNIST/raw", at=f"data.path: {tmp_path}", download=True)


# Of these torchvision checks the MD5 before it unpickles them, so ours need theirs put in its place.
CIFAR = np.random.default_rng(3).integers(0, 256, (60, 32, 32, 3), np.uint8)
CIFAR_LABELS = [place % 10 for place in range(60)]


def cifar_files() -> dict[str, bytes]:
    """CIFAR-10's files with ten images each: rows of red, green and blue planes, and a list of labels."""
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    files = {}
    for number, name in enumerate(names):
        rows = slice(10 * number, 10 * number + 10)
        planes = CIFAR[rows].transpose(0, 3, 1, 2).reshape(10, 3072)
        files[name] = pickle.dumps({"data": planes, "labels": CIFAR_LABELS[rows]})
    files["batches.meta"] = pickle.dumps({"label_names": [f"class {label}" for label in range(10)]})
    return files


def accepted(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the hashes of these files in the place of the published ones."""
    hashes = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    kind = torchvision.datasets.CIFAR10
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[name, hashes[name]] for name, _ in getattr(kind, part)])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": hashes["batches.meta"]})


def test_cifar10_is_read_from_where_torchvision_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(cifar_files(), monkeypatch)
    write_all(tmp_path / LAYOUT["cifar10"], cifar_files())
    dataset = load(DataSettings(source="cifar10", path=str(tmp_path)))
    assert dataset.shape == (3, 32, 32)
    assert dataset.classes == 10
    assert np.array_equal(dataset.train.images.permute(0, 2, 3, 1).numpy(), CIFAR[:50])
    assert np.array_equal(dataset.test.images.permute(0, 2, 3, 1).numpy(), CIFAR[50:])
    assert dataset.train.labels.tolist() + dataset.test.labels.tolist() == CIFAR_LABELS


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_cifar10_pickle_that_is_not_the_published_one_is_not_opened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(cifar_files(), monkeypatch)
    sprung = tmp_path / "sprung"
    write_all(tmp_path / LAYOUT["cifar10"], cifar_files() | {name: pickle.dumps(Trap(sprung))})
    refused("cifar10", tmp_path, "cifar-10-batches-py", at=f"data.path: {tmp_path}")
    assert not sprung.exists()


# Real data, where they are.


@pytest.mark.shared_data
@needs_shared_data
def test_the_published_mnist_files_are_read(tmp_path: Path) -> None:
    with np.load(SHARED / "mnist_full.npz") as file:
        whole = {name: file[name] for name in file.files}
    files = idx_files((whole["x_train"], whole["y_train"]), (whole["x_test"], whole["y_test"]))
    # The first digits of the published files' SHA-256: what is read here is what a download unpacks.
    published = {
        ("train", "images"): "ba891046",
        ("train", "labels"): "65a50cbb",
        ("test", "images"): "0fa7898d",
        ("test", "labels"): "ff7bcfd4",
    }
    for part, digits in published.items():
        assert hashlib.sha256(files[IDX[part]]).hexdigest().startswith(digits)
    write_all(tmp_path / LAYOUT["mnist"], files)
    dataset = load(DataSettings(source="mnist", path=str(tmp_path)))
    assert len(dataset.train) == 60_000
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    same = load(DataSettings(source="npz", path=str(SHARED / "mnist_full.npz")))
    assert dataset.fingerprint == same.fingerprint


@pytest.mark.shared_data
@needs_shared_data
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("cifar10_reduced", (3, 32, 32)),
        ("mnist_reduced", (1, 28, 28)),
        ("fmnist_reduced", (1, 28, 28)),
        ("kmnist_reduced", (1, 28, 28)),
    ],
)
def test_the_reduced_sets_are_read(name: str, shape: tuple[int, int, int]) -> None:
    dataset = load(DataSettings(source="npz", path=str(SHARED / f"{name}.npz")))
    assert dataset.shape == shape
    count = 900 if name.startswith("kmnist") else 1000
    assert torch.bincount(dataset.train.labels).tolist() == [count] * 10
    assert torch.bincount(dataset.test.labels).tolist() == [100] * 10
