"""What a page is made of, as plain values; page.html says how each looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; a `lead` is large, a `note` is what must not be overlooked."""

    kind: ClassVar[str] = "words"
    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table; its first column names the rows.

    Args:
        caption: what it shows.
        header: of each column.
        rows: as many cells each.
        numbers: the columns that hold numbers, from 0.
    """

    kind: ClassVar[str] = "grid"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A plot that the reader's browser draws.

    Args:
        name: of its file.
        title: a heading.
        caption: how to read it.
        specification: Vega-Lite's, as JSON.
    """

    kind: ClassVar[str] = "chart"
    name: str
    title: str
    caption: str
    specification: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that is drawn already.

    Args:
        name: of its file.
        title: a heading.
        caption: how to read it.
        source: a data URI.
        paper: whether it needs a white ground.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    source: str
    caption: str = ""
    paper: bool = False


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures side by side."""

    kind: ClassVar[str] = "gallery"
    pictures: Sequence[Picture]


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be copied."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are shown when asked for."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: "Sequence[Block]"


Block = Words | Grid | Chart | Picture | Gallery | Code | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page, linked from its top by its key."""

    key: str
    title: str
    blocks: Sequence[Block]
