"""Audits that were run on a study's networks, read from their cards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contragrad import evaluate
from contragrad.errors import UserError
from contragrad.evaluate import Interval
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.page.blocks import Picture
from contragrad.page.drawings import embedded

PICTURES = {
    "matrix.png": "Accuracy by source and attack",
    "curves.png": "Accuracy by ε",
    "alignment.png": "Alignment with each source's gradients",
}
"""What an audit draws beside its card, with a heading each."""

PNG = b"\x89PNG\r\n\x1a\n"
"""How its files begin."""

PICTURED = 1_500_000
"""Bytes of the pictures that stand in the page, which must stay small."""


@dataclass(frozen=True, slots=True)
class Fooled:
    """A share of images with its interval, in [0, 1]."""

    share: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacker:
    """A row of the card: how the network stands against somebody.

    Args:
        key: his short name.
        threat: what he knows, has and does.
        standing: withstood, weakened, defeated, inconclusive or not run.
        fooled: of the images that the network classifies correctly; None if he was not run.
    """

    key: str
    threat: str
    standing: str
    fooled: Fooled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An audit's card.

    Args:
        folder: where it lies.
        network: the audited network's name.
        fingerprint: names its weights.
        epsilon: the radius, as text.
        verdict: in sentences.
        withstood: the strongest attacker who is withstood together with all weaker ones; None if none is.
        defeated_by: the weakest attacker who defeats it; None if none does.
        rule: when an attacker is withstood, and when he defeats.
        attackers: from weak to strong.
        checks: number, question, verdict and figure of each.
        left_out: what was not tried, and why.
        pictures: beside the card.
    """

    folder: Path
    network: str
    fingerprint: str
    epsilon: str
    verdict: str
    withstood: str | None
    defeated_by: str | None
    rule: str
    attackers: tuple[Attacker, ...]
    checks: tuple[tuple[str, str, str, str], ...]
    left_out: Mapping[str, str]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A card that cannot be read, and why."""

    path: Path
    why: str


def read(folder: Path) -> tuple[Card | Unreadable, ...]:
    """The cards of a run folder, by network and radius; of many, only the first ones have their pictures."""
    paths = sorted(path for path in folder.glob("audit/*/*/card.json") if path.is_file())
    found = []
    room = PICTURED
    for number, path in enumerate(paths, start=1):
        beside = [own for name in PICTURES if (own := path.with_name(name)).is_file()]
        room -= sum(own.stat().st_size for own in beside)
        found.append(_read(path, number, beside if room >= 0 else ()))
    return tuple(found)


def _read(path: Path, number: int, pictures: Iterable[Path]) -> Card | Unreadable:
    try:
        text = read_text(path, LONGEST_JSON, "it cannot be read", "contragrad audit")
        shown = tuple(_picture(each, number) for each in pictures)
        return _card(from_json(text), path.parent, shown)
    except UserError as error:
        return Unreadable(path, error.what)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Unreadable(path, f"{type(error).__name__}: {error}")


def _picture(path: Path, number: int) -> Picture:
    title, name = PICTURES[path.name], f"audit-{number}-{path.name}"
    with path.open("rb") as file:
        # A page is passed on: a link in somebody else's folder must not put a file of this machine in it.
        if file.read(len(PNG)) != PNG:
            raise ValueError(f"{path.name} is no PNG")
    return Picture(name=name, title=title, source=embedded(path), paper=True)


def _card(stored: Mapping[str, Any], folder: Path, pictures: tuple[Picture, ...]) -> Card:
    return Card(
        folder=folder,
        network=str(stored["target"]["name"]),
        fingerprint=str(stored["target"]["fingerprint"]),
        epsilon=str(stored["epsilon"]),
        verdict=str(stored["verdict"]),
        withstood=_name(stored["withstood"]),
        defeated_by=_name(stored["defeated_by"]),
        rule=str(stored["rule"]),
        attackers=tuple(
            Attacker(
                key=str(each["attacker"]),
                threat=str(each["threat"]),
                standing=str(each["standing"]),
                fooled=_fooled(each["fooled"]),
            )
            for each in stored["attackers"]
        ),
        checks=tuple(
            (str(each["number"]), str(each["question"]), str(each["verdict"]), str(each["figure"]))
            for each in stored["checks"]
        ),
        left_out={str(what): str(why) for what, why in stored["left_out"].items()},
        pictures=pictures,
    )


def _fooled(stored: Mapping[str, Any] | None) -> Fooled | None:
    if stored is None or stored["interval"] is None:
        return None
    return Fooled(evaluate.share(stored["share"]), evaluate.interval(stored["interval"]))


def _name(stored: Any) -> str | None:
    return None if stored is None else str(stored)
