"""Audits that were run on a study's networks: their cards with the pictures beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contragrad.audit import card
from contragrad.audit.card import Card, Unreadable
from contragrad.audit.plots import PICTURES
from contragrad.page.blocks import Picture
from contragrad.page.drawings import embedded

PNG = b"\x89PNG\r\n\x1a\n"
"""How its files begin."""

PICTURED = 1_500_000
"""Bytes of the pictures that stand in the page, which must stay small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictured:
    """An audit's card, and its pictures."""

    card: Card
    pictures: tuple[Picture, ...]


def read(folder: Path) -> tuple[Pictured | Unreadable, ...]:
    """The cards of a run folder, by network and radius; of many, only the first ones have their pictures."""
    found = []
    room = PICTURED
    for number, path in enumerate(card.paths(folder), start=1):
        beside = [own for name in PICTURES if (own := path.with_name(name)).is_file()]
        room -= sum(own.stat().st_size for own in beside)
        found.append(_read(path, number, beside if room >= 0 else ()))
    return tuple(found)


def _read(path: Path, number: int, pictures: Iterable[Path]) -> Pictured | Unreadable:
    found = card.read(path)
    if isinstance(found, Unreadable):
        return found
    try:
        shown = tuple(_picture(each, number) for each in pictures)
    except (OSError, ValueError) as error:
        return Unreadable(path, f"{type(error).__name__}: {error}")
    return Pictured(card=found, pictures=shown)


def _picture(path: Path, number: int) -> Picture:
    (title, _), name = PICTURES[path.name], f"audit-{number}-{path.name}"
    with path.open("rb") as file:
        # A page is passed on: a link in somebody else's folder must not put a file of this machine in it.
        if file.read(len(PNG)) != PNG:
            raise ValueError(f"{path.name} is no PNG")
    return Picture(name=name, title=title, source=embedded(path), paper=True)
