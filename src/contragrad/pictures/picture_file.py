"""Matplotlib's figures as files: whole or not at all, and the same bytes for the same drawing."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contragrad.errors import UserError
from contragrad.extras import lacking
from contragrad.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")

PIXELS_PER_INCH = 144

STYLE: list[str | Path | dict[str, Any]] = [
    "default",
    {"svg.fonttype": "none", "svg.hashsalt": "contragrad", "text.parse_math": False},
]
"""Matplotlib's own style, whatever the user's, with text that stays text and ids that stay the same.

A name may have dollars in it, between which is no formula.
"""


@contextmanager
def picture(path: Path) -> Iterator["Figure"]:
    """An empty figure to draw on, which is written when the block ends; no file if the block fails.

    Matplotlib's settings are afterwards as they were, and pyplot knows nothing of the figure.

    Args:
        path: ends in `.png` or `.svg`, which decides the kind.

    Raises:
        UserError: if the suffix is another, if matplotlib is missing, or if the file cannot be written;
            what was there before is left.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"a picture cannot be written as {path.suffix or 'a file without suffix'}",
            where=str(path),
            remedy=f"a name that ends in {' or '.join(SUFFIXES)}",
        )
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise lacking("matplotlib", "paper", job="a picture", where=str(path)) from error
    with style.context(STYLE):
        figure = Figure(dpi=PIXELS_PER_INCH)
        yield figure
        drawn = BytesIO()
        kind = path.suffix.lower().removeprefix(".")
        figure.savefig(drawn, format=kind, metadata={"Date": None} if kind == "svg" else None)
    with writing(path, "the picture cannot be written") as file:
        file.write(drawn.getvalue())
