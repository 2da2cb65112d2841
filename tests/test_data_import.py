"""`contragrad data`: any set becomes one file, the same each time; what cannot be is refused unwritten."""

import gzip
import hashlib
import io
import json
import pickle
import shutil
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray
from PIL import Image

from contragrad.data import folders, imports, memory
from contragrad.data import pictures as pictures_module
from contragrad.data.dataset import Dataset
from contragrad.data.sources import load
from contragrad.data.wanted import Wanted
from contragrad.errors import UserError
from contragrad.settings.config import DataSettings
from test_run import Done, call_here
from test_sources import (
    CIFAR,
    COLOUR,
    GREY,
    IDX,
    Trap,
    accepted,
    arrays,
    cifar_files,
    folder,
    small_idx_files,
    write_all,
)


def imported(source: Path | str, out: Path, *words: str) -> Dataset:
    """The set that an import has written."""
    done = call_here("data", "import", source, "--out", out, *words)
    assert done.returncode == 0, done.stderr
    return load(DataSettings(source="npz", path=str(out)))


def origin(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("origin.json"))
    return found


def refused(done: Done, *said: str) -> None:
    assert done.returncode == 2
    assert not done.stdout
    for word in said:
        assert word in done.stderr


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return folder(tmp_path / "pictures")


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "source.npz"
    np.savez_compressed(path, **arrays())
    return path


@pytest.mark.parametrize("kind", ["folder", "grey folder", "npz", "floats"])
def test_an_import_has_the_content_of_its_source(kind: str, npz: Path, tmp_path: Path) -> None:
    source: DataSettings
    if "folder" in kind:
        path = folder(tmp_path / "in", GREY if kind[0] == "g" else COLOUR)
        source = DataSettings(source="image-folder", path=str(path))
    else:
        if kind == "floats":
            np.savez(npz, **{n: a / 255 if n[0] == "x" else a for n, a in arrays().items()})
        source = DataSettings(source="npz", path=str(npz))
    found = imported(str(source.path), tmp_path / "out.npz")
    assert found.fingerprint == load(source).fingerprint == origin(tmp_path / "out.npz")["fingerprint"]


def test_the_same_source_gives_the_same_bytes_wherever_it_lies(pictures: Path, tmp_path: Path) -> None:
    imported(pictures, tmp_path / "one.npz")
    (tmp_path / "elsewhere").mkdir()
    imported(pictures.rename(tmp_path / "elsewhere/pictures"), tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_file_says_where_it_comes_from(pictures: Path, tmp_path: Path) -> None:
    imported(pictures, tmp_path / "out.npz")
    found = origin(tmp_path / "out.npz")
    assert found["kind"] == "image-folder"
    assert found["source"] == "pictures"
    assert found["classes"] == ["a", "b"]
    content = (pictures / "train/a/0.png").read_bytes()
    assert found["sha256"]["train/a/0.png"] == hashlib.sha256(content).hexdigest()
    assert len(found["sha256"]) == 10
    # Names are kept by an import of an import.
    imported(tmp_path / "out.npz", tmp_path / "again.npz")
    assert origin(tmp_path / "again.npz")["classes"] == ["a", "b"]


def test_a_folder_is_a_place_for_the_file(npz: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert call_here("data", "import", npz, "--out", tmp_path / "made").returncode == 0
    assert (tmp_path / "made/source.npz").is_file()


def test_a_file_that_is_there_is_left_unless_forced(npz: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    out.write_text("mine")
    refused(call_here("data", "import", npz, "--out", out), "the file exists", str(out), "--force")
    assert out.read_text() == "mine"
    first = imported(npz, out, "--force").fingerprint
    assert imported(pictures, out, "--force").fingerprint != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npz", "pictures", "source.npz"]


@pytest.mark.parametrize(
    ("out", "said"), [("out.txt", "another ending"), ("nowhere/out.npz", "the folder is missing")]
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_read(
    out: str, said: str, npz: Path, tmp_path: Path
) -> None:
    npz.write_text("not read")
    refused(call_here("data", "import", npz, "--out", tmp_path / out), said, out.split("/")[0])


def test_a_failed_import_leaves_nothing(pictures: Path, tmp_path: Path) -> None:
    (pictures / "train/a/2.png").write_bytes(b"")
    refused(call_here("data", "import", pictures, "--out", tmp_path / "out.npz"), "train/a/2.png")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("place", ["", "FashionMNIST/raw"])
def test_idx_files_are_imported_packed_or_not(packed: bool, place: str, tmp_path: Path) -> None:
    files = small_idx_files()
    if packed:
        files = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    write_all(tmp_path / "set" / place, files)
    found = imported(tmp_path / "set", tmp_path / "out.npz")
    right = arrays()
    assert np.array_equal(found.train.images[:, 0].numpy(), right["x_train"])
    assert np.array_equal(found.test.labels.numpy(), right["y_test"])
    assert len(origin(tmp_path / "out.npz")["sha256"]) == 4


@pytest.mark.parametrize("name", IDX.values())
@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_that_is_damaged_is_named(name: str, packed: bool, tmp_path: Path) -> None:
    files = small_idx_files()
    ending = ".gz" if packed else ""
    pack = gzip.compress if packed else bytes
    write_all(tmp_path / "set", {f"{each}{ending}": pack(content) for each, content in files.items()})
    path = tmp_path / "set" / f"{name}{ending}"
    right = files[name]
    bomb = right[:4] + b"\xff" * (4 * right[3]) + right[4 + 4 * right[3] :]
    for content in (right[:-7], right[:6], b"", b"hello", right + b"\0", b"\0\0\x0d\x03" + right[4:], bomb):
        path.write_bytes(pack(content))
        refused(call_here("data", "check", tmp_path / "set"), str(path))
    path.write_bytes(pack(right)[:-9])
    refused(call_here("data", "check", tmp_path / "set"), str(path))
    path.unlink()
    refused(call_here("data", "check", tmp_path / "set"), name if "train-images" not in name else "no set")


@pytest.mark.parametrize("inside", [False, True])
def test_cifar10_is_imported_with_the_published_hashes_alone(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprung, place = tmp_path / "sprung", tmp_path / "cifar-10-batches-py"
    write_all(place, cifar_files())
    source = place if inside else tmp_path
    refused(
        call_here("data", "import", source, "--out", tmp_path / "out.npz"), "cifar10 was not found, or is"
    )
    accepted(cifar_files(), monkeypatch)
    found = imported(source, tmp_path / "out.npz")
    assert np.array_equal(found.train.images.permute(0, 2, 3, 1).numpy(), CIFAR[:50])
    assert "cifar-10-batches-py/test_batch" in origin(tmp_path / "out.npz")["sha256"] or inside
    (place / "test_batch").write_bytes(pickle.dumps(Trap(sprung)))
    refused(call_here("data", "check", source), "cifar10 was not found, or is")
    assert not sprung.exists()


def test_cifar100_is_imported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        name: pickle.dumps({"data": np.full((4, 3072), shade, np.uint8), "fine_labels": [0, 1, 0, 1]})
        for name, shade in (("train", 1), ("test", 2))
    } | {"meta": pickle.dumps({"fine_label_names": ["apple", "bear"]})}
    write_all(tmp_path / "cifar-100-python", files)
    kind = torchvision.datasets.CIFAR100
    for part, name in (("train_list", "train"), ("test_list", "test")):
        monkeypatch.setattr(kind, part, [[name, hashlib.md5(files[name]).hexdigest()]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": hashlib.md5(files["meta"]).hexdigest()})
    assert (imported(tmp_path, tmp_path / "out.npz").test.images == 2).all()


# Test images where nobody has divided them.


def undivided(root: Path) -> Path:
    for label, name in enumerate(("a", "b")):
        (root / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (4, 4), 20 * number + label).save(root / name / f"{number}.png")
    return root


def test_the_same_share_of_each_class_is_held_out_and_always_the_same(tmp_path: Path) -> None:
    source = undivided(tmp_path / "all")
    found = imported(source, tmp_path / "out.npz", "--hold-out", "0.3")
    assert found.test.labels.tolist() == [0] * 3 + [1] * 3
    shades = [part.images[:, 0, 0, 0].tolist() for part in (found.train, found.test)]
    assert sorted(shades[0] + shades[1]) == sorted(20 * n + label for label in (0, 1) for n in range(10))
    assert [shade % 20 for shade in shades[1]] == found.test.labels.tolist()
    assert shades[1] != sorted(shades[1])[:6]
    assert found.fingerprint == imported(source, tmp_path / "2.npz", "--hold-out", "0.3").fingerprint


def test_what_cannot_be_held_out_is_refused(npz: Path, tmp_path: Path) -> None:
    source = undivided(tmp_path / "all")
    refused(call_here("data", "check", source), "no set that is known", "--hold-out")
    refused(call_here("data", "check", source, "--hold-out", "1.5"), "1.5 is no share")
    refused(call_here("data", "check", npz, "--hold-out", "0.5"), "there are test images already")
    for path in list((source / "b").iterdir())[2:]:
        path.unlink()
    refused(call_here("data", "check", source, "--hold-out", "0.5"), "class b has 2 images", "one each")


def test_test_images_may_lie_in_a_folder_of_another_name(pictures: Path, tmp_path: Path) -> None:
    right = load(DataSettings(source="image-folder", path=str(pictures))).fingerprint
    (pictures / "test").rename(pictures / "val")
    refused(call_here("data", "check", pictures), "the folder is missing", "--test NAME")
    assert imported(pictures, tmp_path / "out.npz", "--test", "val").fingerprint == right


# Check.


def test_a_check_says_what_there_is(pictures: Path) -> None:
    done = call_here("data", "check", pictures)
    assert done.returncode == 0
    assert "6 training and 4 test images, 5 x 6, grey" in done.stdout
    assert "a constant answer scores 50.0 %" in done.stdout
    assert "  a: 3 + 2\n  b: 3 + 2\n" in done.stdout
    assert "note:" not in done.stdout
    (pictures / "test/a/0.png").unlink()
    (pictures / "train/a/0.png").unlink()
    (pictures / "train/a/1.png").unlink()
    assert (
        "note: training images are not balanced: 3 of class b and 1 of class a"
        in call_here("data", "check", pictures).stdout
    )


def test_a_check_is_there_for_scripts(pictures: Path) -> None:
    found = json.loads(call_here("data", "check", pictures, "--json").stdout)
    assert found["shape"] == [1, 6, 5]
    assert found["class_names"] == ["a", "b"]
    assert found["train_per_class"] == [3, 3]
    assert found["chance"] == 0.5


def test_a_check_names_every_picture_that_cannot_be_had(pictures: Path) -> None:
    bad = ["train/a/0.png", "train/b/2.png", "test/a/1.png"]
    for name in bad:
        (pictures / name).write_bytes(b"hello")
    done = call_here("data", "check", pictures)
    refused(done, "3 pictures cannot be had", *bad)
    assert "train/a/1.png" not in done.stderr
    for name in bad[1:]:
        shutil.copy(pictures / "train/a/1.png", pictures / name)
    assert call_here("data", "check", pictures).stderr.count("cannot be read") == 1


def test_a_check_names_pictures_of_another_size_too(pictures: Path) -> None:
    (pictures / "train/a/0.png").write_bytes(b"hello")
    for name in ("train/b/2.png", "test/a/1.png"):
        Image.new("L", (9, 3)).save(pictures / name)
    refused(call_here("data", "check", pictures), "3 pictures cannot be had", "b/2.png: the picture is 9 x 3")


def test_a_check_decodes_each_picture_once(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(path: Path, grey: bool, edge: int | None = None) -> NDArray[Any]:
        decoded.append(path)
        return pictures_module.read(path, grey, edge)

    monkeypatch.setattr(folders, "read", counted)
    assert call_here("data", "check", pictures).returncode == 0
    assert sorted(decoded) == sorted(pictures.rglob("*.png"))


def test_a_folder_without_one_sound_picture_is_refused(pictures: Path) -> None:
    for path in pictures.rglob("*.png"):
        path.write_bytes(b"hello")
    refused(call_here("data", "check", pictures), "10 pictures cannot be had", "train/a/0.png")


def test_a_split_is_named_only_where_there_are_splits(npz: Path) -> None:
    refused(call_here("data", "check", npz, "--test", "elsewhere"), "--test")


@pytest.mark.parametrize("words", [["--size", "0"], ["--size", "8"]])
def test_a_size_is_for_pictures(words: list[str], npz: Path) -> None:
    refused(call_here("data", "check", npz, *words), "--size")


def test_pictures_of_several_sizes_are_stretched(pictures: Path, tmp_path: Path) -> None:
    Image.new("L", (9, 3), 7).save(pictures / "train/a/0.png")
    refused(call_here("data", "check", pictures), "--size")
    found = imported(pictures, tmp_path / "out.npz", "--size", "4")
    assert found.shape == (1, 4, 4)
    assert (found.train.images[0] == 7).all()


def test_what_is_not_there_or_unknown_says_what_is_understood(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        refused(call_here("data", "check", path), str(path), "idx", "cifar-10-batches-py", "huggingface")


# Hugging Face, in whose place a module of ours stands.


class ClassLabel:
    """What the library calls its type of labels."""

    names = ("cat", "dog")


class Image_:  # noqa: N801
    """Likewise of pictures."""


Image_.__name__ = "Image"


class Part:
    """A split: rows by number, columns by name."""

    def __init__(self, split: str, count: int, mode: str = "RGB", **features: object) -> None:
        self.split = split
        self.features = {"picture": Image_(), "kind": ClassLabel()} | features
        self.info = types.SimpleNamespace(download_checksums=None)
        shades = [Image.new("L", (4, 3), 10 * row).convert(mode) for row in range(count)]
        self.columns: dict[str, list[Any]] = {"picture": shades, "kind": [row % 2 for row in range(count)]}

    def __len__(self) -> int:
        return len(self.columns["kind"])

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}


def library(monkeypatch: pytest.MonkeyPatch, **parts: Part) -> None:
    module = types.ModuleType("datasets")

    def load_from_disk(path: str) -> dict[str, Part]:
        assert Path(path).is_dir()
        return parts

    vars(module).update(load_dataset=lambda name: {"owner/set": parts}[name], load_from_disk=load_from_disk)
    monkeypatch.setitem(sys.modules, "datasets", module)


HUB = ("owner/set", "--from", "huggingface")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_set_of_hugging_face_is_imported(
    mode: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(monkeypatch, train=Part("train", 6, mode), test=Part("test", 4, mode))
    found = imported(HUB[0], tmp_path / "out.npz", *HUB[1:])
    assert found.shape == (channels, 3, 4)
    assert found.train.images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert found.test.labels.tolist() == [0, 1, 0, 1]
    assert origin(tmp_path / "out.npz")["classes"] == ["cat", "dog"]
    assert origin(tmp_path / "out.npz")["source"] == "owner/set"


def test_a_set_of_the_hub_is_noted_with_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": Part("train", 6), "test": Part("test", 4)}
    for name, part in parts.items():
        part.info.download_checksums = {f"hf://datasets/owner/set@a1b2/data/{name}.parquet": {"num_bytes": 9}}
    library(monkeypatch, **parts)
    imported(HUB[0], tmp_path / "out.npz", *HUB[1:])
    assert origin(tmp_path / "out.npz")["revisions"] == ["a1b2"]


def test_a_set_that_was_saved_is_known_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, train=Part("train", 6), validation=Part("validation", 4))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/dataset_dict.json").write_text("{}")
    refused(call_here("data", "check", tmp_path / "saved"), "no test images", "--hold-out", "--test")
    assert len(imported(tmp_path / "saved", tmp_path / "out.npz", "--test", "validation").test) == 4


def test_a_saved_set_gives_the_same_bytes_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(monkeypatch, train=Part("train", 6), test=Part("test", 4))
    write_all(tmp_path / "saved", {"dataset_dict.json": b"{}"})
    write_all(tmp_path / "saved/train", {"data.arrow": b"rows"})
    imported(tmp_path / "saved", tmp_path / "one.npz")
    found = origin(tmp_path / "one.npz")
    assert found["source"] == "saved"
    assert found["sha256"] == {
        "dataset_dict.json": hashlib.sha256(b"{}").hexdigest(),
        "train/data.arrow": hashlib.sha256(b"rows").hexdigest(),
    }
    (tmp_path / "home").mkdir()
    (tmp_path / "saved").rename(tmp_path / "home/saved")
    (tmp_path / "home/saved/train/cache-1.arrow").write_bytes(b"the library's own")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    imported("~/saved", tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def torn() -> Image.Image:
    """A picture that breaks off when it is decoded."""
    file = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue()[:-999]))


def test_rows_without_a_picture_or_a_class_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Part("train", 6)
    odd.columns["picture"][2] = None
    odd.columns["picture"][4] = torn()
    library(monkeypatch, train=odd, test=Part("test", 4))
    said = (
        "owner/set, train, row 2: there is no picture in this row",
        "owner/set, train, row 4: the picture cannot be read: OSError: image file is truncated",
        "2 pictures cannot be had",
    )
    refused(call_here("data", "check", *HUB), *said)
    odd = Part("train", 6)
    odd.columns["kind"][5] = None
    library(monkeypatch, train=odd, test=Part("test", 4))
    refused(call_here("data", "check", *HUB), "no class in this row", "owner/set, train, row 5")


def test_memory_is_asked_for_both_splits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, train=Part("train", 6), test=Part("test", 4))
    needed = 2 * (6 + 4) * 3 * 4 * 3
    monkeypatch.setattr(memory, "available", lambda: needed - 1)
    refused(call_here("data", "check", *HUB), "to work on 10 images of 3 x 3 x 4")
    monkeypatch.setattr(memory, "available", lambda: needed)
    assert call_here("data", "check", *HUB).returncode == 0


def test_a_set_that_cannot_be_had_or_is_none_of_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, train=Part("train", 6), test=Part("test", 4))
    refused(call_here("data", "check", "owner/other", *HUB[1:]), "KeyError", "owner/other")
    library(monkeypatch, test=Part("test", 4))
    refused(call_here("data", "check", *HUB), "no split train, but test")
    library(monkeypatch, train=Part("train", 6, coarse=ClassLabel()))
    refused(call_here("data", "check", *HUB), "2 columns of the type ClassLabel", "picture, kind, coarse")
    odd = Part("train", 6)
    odd.columns["picture"][3] = Image.new("RGBA", (4, 3))
    library(monkeypatch, train=odd, test=Part("test", 4))
    refused(call_here("data", "check", *HUB), "transparent", "owner/set, train, row 3")


def test_the_library_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(call_here("data", "check", *HUB), "pip install 'contragrad[huggingface]'")


def test_what_is_read_can_be_had_without_the_command(pictures: Path) -> None:
    found = imports.read(Wanted(source=str(pictures), kind="image-folder"))
    assert found.dataset.class_names == ("a", "b")
    with pytest.raises(UserError, match="there are no idx files"):
        imports.read(Wanted(source=str(pictures), kind="idx"))
