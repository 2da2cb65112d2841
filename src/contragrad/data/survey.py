"""What data sources make of a file or a folder that somebody points at."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from contragrad.data.sources import LAYOUT, load
from contragrad.data.wanted import Surveyed
from contragrad.errors import UserError
from contragrad.settings.choices import DataSource
from contragrad.settings.config import DataSettings


def survey(place: Path | None) -> tuple[Surveyed, ...]:
    """What is found, each file and layout by itself; None are the images that ship."""
    if place is None:
        return (_read("fashion-mnist-reduced", None),)
    found = tuple(_read(source, path) for source, path in _candidates(place))
    return found or (Surveyed(str(place), "no images are here", None),)


def _candidates(place: Path) -> Iterator[tuple[DataSource, Path]]:
    if place.is_file():
        yield "npz", place
        return
    for path in sorted(place.glob("*.npz")):
        yield "npz", path
    for source, layout in LAYOUT.items():
        if (place / layout).is_dir():
            yield source, place
    if (place / "train").is_dir():
        yield "image-folder", place


def _read(source: DataSource, path: Path | None) -> Surveyed:
    where = "ships with contragrad" if path is None else str(path)
    try:
        data = load(DataSettings(source=source, path=None if path is None else str(path)))
    except UserError as error:
        return Surveyed(where, error.what if error.where == where else f"{error.what} ({error.where})", None)
    shape = " x ".join(map(str, data.shape))
    counts = f"{len(data.train):,} training and {len(data.test):,} test images"
    return Surveyed(where, f"{counts} of {shape}, {data.classes} classes", source)


def tell(place: str) -> None:
    """Prints the survey as JSON, for a process that keeps away from torch; an empty place is None."""
    print(json.dumps([asdict(found) for found in survey(Path(place) if place else None)]))
