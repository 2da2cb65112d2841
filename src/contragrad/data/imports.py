"""From a set in whatever form it is kept to one npz file that says where it comes from."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torchvision.datasets

from contragrad.data import folders, huggingface, idx, npz
from contragrad.data.arrays import Arrays, checked, hold_out
from contragrad.data.dataset import Dataset
from contragrad.data.folders import Watch
from contragrad.data.sources import LAYOUT, torchvision_set
from contragrad.data.stack import Refuse, stop
from contragrad.data.wanted import TEST, Kind, Wanted
from contragrad.errors import UserError

CIFAR: dict[Kind, tuple[str, Callable[..., Any]]] = {
    "cifar10": (LAYOUT["cifar10"], torchvision.datasets.CIFAR10),
    "cifar100": ("cifar-100-python", torchvision.datasets.CIFAR100),
}
UNDERSTOOD = (
    "an npz file; train/CLASS and test/CLASS with pictures, or CLASS alone and --hold-out; four idx files; "
    f"{CIFAR['cifar10'][0]} or {CIFAR['cifar100'][0]}; a set of Hugging Face, saved, or by name with "
    "--from huggingface"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What was read.

    Args:
        kind: of the source.
        dataset: checked.
        origin: where it comes from, for JSON; nothing in it depends on where the source lies.
    """

    kind: Kind
    dataset: Dataset
    origin: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The arrays, the files that they were read from, and what else is to be noted of their origin."""

    arrays: Arrays
    files: Iterable[Path] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


def read(wanted: Wanted, watch: Watch = iter, refuse: Refuse = stop) -> Found:
    """The data set that a source holds.

    Args:
        wanted: the source.
        watch: is handed the pictures of a folder that are read.
        refuse: is told of each picture that cannot be had; what is found is of no use if it has been.

    Raises:
        UserError: naming what is missing or wrong.
    """
    kind = wanted.kind or _kind_of(wanted)
    if kind not in ("image-folder", "huggingface"):
        if wanted.edge is not None:
            raise UserError(
                f"the images of {kind} are taken as they are", where="--size", remedy="leave it out"
            )
        if wanted.test != TEST:
            raise UserError(f"{kind} says itself what is test", where="--test", remedy="leave it out")
    found = READERS[kind](wanted, watch, refuse)
    arrays = found.arrays
    if wanted.share is not None:
        arrays = hold_out(arrays, wanted.share, wanted.source)
    dataset = checked(arrays, wanted.source)
    origin = {
        "kind": kind,
        "source": wanted.path.resolve().name if wanted.path.exists() else wanted.source,
        "size": wanted.edge,
        "test": wanted.test,
        "hold_out": wanted.share,
        "sha256": _hashes(found.files, wanted.path),
        "classes": arrays.classes,
        "fingerprint": dataset.fingerprint,
        **found.notes,
    }
    return Found(kind=kind, dataset=dataset, origin=origin)


def _kind_of(wanted: Wanted) -> Kind:
    """What a file or folder is, by its content."""
    path = wanted.path
    if path.is_file():
        return "npz"
    if not path.is_dir():
        raise UserError("there is no such file or folder", where=wanted.source, remedy=UNDERSTOOD)
    for kind, (layout, _) in CIFAR.items():
        if (path / layout).is_dir() or path.name == layout:
            return kind
    if _idx_files(path):
        return "idx"
    if (path / "dataset_dict.json").is_file():
        return "huggingface"
    if (path / "train").is_dir() or wanted.share is not None:
        return "image-folder"
    raise UserError("the folder holds no set that is known", where=wanted.source, remedy=UNDERSTOOD)


def _npz(wanted: Wanted, watch: Watch, refuse: Refuse) -> _Read:
    return _Read(npz.read(wanted.path), (wanted.path,))


def _image_folder(wanted: Wanted, watch: Watch, refuse: Refuse) -> _Read:
    found = _picture_folders(wanted)
    grey = folders.all_grey(found)
    arrays = folders.load(found, wanted.edge, grey=grey, held=2, watch=watch, refuse=refuse)
    return _Read(arrays, [path for path, _ in found.pictures])


def _picture_folders(wanted: Wanted) -> folders.Folders:
    if wanted.share is not None and not (wanted.path / "train").is_dir():
        return folders.find_undivided(wanted.path)
    return folders.find(wanted.path, wanted.test)


def _idx(wanted: Wanted, watch: Watch, refuse: Refuse) -> _Read:
    files = _idx_files(wanted.path)
    if files is None:
        raise UserError("there are no idx files", where=wanted.source, remedy=", ".join(idx.FILES))
    return _Read(idx.read(files), files)


def _idx_files(folder: Path) -> tuple[Path, ...] | None:
    places = [folder, *(folder / layout for layout in LAYOUT.values())]
    return next((files for place in places if (files := idx.find(place))), None)


def _cifar(kind: Kind, wanted: Wanted, watch: Watch, refuse: Refuse) -> _Read:
    layout, construct = CIFAR[kind]
    root = wanted.path.parent if wanted.path.name == layout else wanted.path
    arrays = torchvision_set(construct, root, layout, name=kind)
    return _Read(arrays, sorted(path for path in (root / layout).iterdir() if path.is_file()))


def _huggingface(wanted: Wanted, watch: Watch, refuse: Refuse) -> _Read:
    saved = wanted.path.is_dir()
    name = str(wanted.path) if saved else wanted.source
    arrays, revisions = huggingface.read(name, wanted.test, wanted.edge, refuse)
    # What is in the cache, the library has added to the set.
    files = sorted(path for path in wanted.path.rglob("*") if path.is_file() and path.name[:6] != "cache-")
    return _Read(arrays, files if saved else (), {"revisions": revisions})


READERS: dict[Kind, Callable[[Wanted, Watch, Refuse], _Read]] = {
    "npz": _npz,
    "image-folder": _image_folder,
    "idx": _idx,
    "cifar10": partial(_cifar, "cifar10"),
    "cifar100": partial(_cifar, "cifar100"),
    "huggingface": _huggingface,
}


def _hashes(files: Iterable[Path], root: Path) -> dict[str, str] | str:
    """A hash of each of a few files by its name, or one of all names and contents of many."""
    found = {}
    for path in files:
        name = path.name if path == root else path.relative_to(root).as_posix()
        with path.open("rb") as stream:
            found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    if len(found) <= 16:
        return found
    whole = hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in found.items()).encode())
    return f"{whole.hexdigest()} of the lines that sha256sum prints for {len(found):,} files"
