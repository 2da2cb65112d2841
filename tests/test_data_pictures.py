"""Pictures and folders as people have them: each oddity is handled by a stated rule, or refused by name."""

import os
import shutil
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contragrad.data.dataset import Dataset
from contragrad.data.sources import load
from contragrad.errors import UserError
from contragrad.settings.config import DataSettings

Bytes = NDArray[np.uint8]
SHADES = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def folder(root: Path, classes: tuple[str, ...] = ("a", "b")) -> Path:
    for part in ("train", "test"):
        for label, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for number in range(2):
                Image.fromarray(SHADES + np.uint8(label)).save(root / part / name / f"{number}.png")
    return root


def read(root: Path) -> Dataset:
    return load(DataSettings(source="image-folder", path=str(root)))


def first(dataset: Dataset) -> Bytes:
    return dataset.train.images[0].permute(1, 2, 0).numpy()


def refused(root: Path, at: Path, *said: str) -> None:
    with pytest.raises(UserError) as error:
        read(root)
    assert error.value.where == str(at)
    assert error.value.remedy
    for word in said:
        assert word in error.value.what


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    folder(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rows are columns
    sideways = Image.fromarray(np.rot90(SHADES).copy())
    sideways.save(tmp_path / "train/a/0.tiff", exif=exif)
    (tmp_path / "train/a/0.png").unlink()
    assert np.array_equal(read(tmp_path).train.images[0].permute(1, 2, 0).numpy(), SHADES)


def test_printers_colours_become_those_of_screens(tmp_path: Path) -> None:
    folder(tmp_path)
    path = tmp_path / "train/a/0.tiff"
    Image.fromarray(SHADES).convert("CMYK").save(path)
    (tmp_path / "train/a/0.png").unlink()
    assert np.abs(first(read(tmp_path)).astype(int) - SHADES).max() <= 1


def test_of_16_bit_colours_the_upper_8_are_read(tmp_path: Path) -> None:
    """Pillow does so when it opens a PNG; it cannot write one."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    folder(tmp_path)
    wide = (SHADES.astype(np.uint16) * 256 + 99).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    head = struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "train/a/0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert np.array_equal(first(read(tmp_path)), SHADES)


@pytest.mark.parametrize("ending", ["webp", "png", "tiff"])
def test_a_moving_picture_is_refused(ending: str, tmp_path: Path) -> None:
    folder(tmp_path)
    path = tmp_path / "train/b" / f"9.{ending}"
    frames = [Image.fromarray(SHADES // np.uint8(divisor)) for divisor in (1, 3, 9)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    refused(tmp_path, path, "3 frames")


@pytest.mark.parametrize("kind", ["GIF", "PDF"])
def test_another_format_under_a_pictures_name_is_refused(kind: str, tmp_path: Path) -> None:
    folder(tmp_path)
    path = tmp_path / "train/b/9.png"
    Image.fromarray(SHADES).save(path, kind)
    refused(tmp_path, path, "cannot be read")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere"), Path.touch])
def test_what_is_no_file_or_empty_is_named_and_not_waited_for(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    folder(tmp_path)
    path = tmp_path / "test/b/9.jpg"
    make(path)
    refused(tmp_path, path)


def test_links_to_pictures_and_to_class_folders_are_followed(tmp_path: Path) -> None:
    plain = read(folder(tmp_path / "plain"))
    shutil.copytree(tmp_path / "plain", tmp_path / "linked")
    for name in ("train/a/0.png", "test/b"):
        path = tmp_path / "linked" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(tmp_path / "plain" / name)
    assert read(tmp_path / "linked").fingerprint == plain.fingerprint


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    plain = read(folder(tmp_path)).fingerprint
    for name in (
        "train/.ipynb_checkpoints/x.png",
        "train/a/._0.png",
        "test/b/.cache/y.jpg",
        "test/.DS_Store",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no picture")
    assert read(tmp_path).fingerprint == plain


def test_pictures_in_folders_of_a_class_folder_are_its_too(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "train/a/more").mkdir()
    shutil.copy(tmp_path / "train/b/0.png", tmp_path / "train/a/more/0.JPG")
    assert read(tmp_path).train.labels.tolist() == [0, 0, 0, 1, 1]


def test_a_class_may_be_written_in_two_ways_that_look_the_same(tmp_path: Path) -> None:
    """As macOS writes an accent beside its letter: a folder from there and one of ours are one class."""
    folder(tmp_path, ("naïve", "猫"))
    (tmp_path / "test/naïve").rename(tmp_path / "test" / unicodedata.normalize("NFD", "naïve"))
    assert read(tmp_path).test.labels.tolist() == [0, 0, 1, 1]
    (tmp_path / "test/naïve").mkdir()
    refused(tmp_path, tmp_path / "test", "two class folders have one name")


@pytest.mark.parametrize("name", ["a;b", "$(touch x)", "-rf", "x\ny", "\udcff", "%s{0}"])
def test_a_class_may_have_any_name(name: str, tmp_path: Path) -> None:
    assert read(folder(tmp_path, ("z", name))).classes == 2


def test_a_name_in_a_message_is_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    folder(tmp_path, ("a", "b", "c\x1b[2J"))
    shutil.rmtree(tmp_path / "test/c\x1b[2J")
    refused(tmp_path, tmp_path, "class c\\x1b[2J is in train", "only one of train and test")


def test_fewer_pictures_of_a_set_are_as_grey_as_all_of_them(tmp_path: Path) -> None:
    folder(tmp_path)
    for path in tmp_path.rglob("0.png"):
        for name in ("0.png", "1.png", "2.png"):
            Image.open(path).convert("L").save(path.with_name(name))
    settings = DataSettings(source="image-folder", path=str(tmp_path), train_per_class=2)
    assert load(settings).shape[0] == 1
    Image.fromarray(SHADES).save(tmp_path / "train/b/2.png")
    assert load(settings).shape[0] == 3


def test_a_size_is_for_folders_of_pictures_alone() -> None:
    with pytest.raises(UserError, match="taken as they are") as error:
        load(DataSettings(image_size=32))
    assert error.value.where == "data.image_size: 32"
