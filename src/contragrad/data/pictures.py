"""One picture file or decoded picture -> 8-bit pixels; what cannot be a training image is refused by name."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps
from torchvision.datasets.folder import IMG_EXTENSIONS

from contragrad.data.dataset import Array
from contragrad.errors import UserError

T = TypeVar("T")

ENDINGS: tuple[str, ...] = IMG_EXTENSIONS
"""Of the files that torchvision's ImageFolder takes for pictures, in small letters."""

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What may be in such files. Pillow goes by content, and would run other programs for some formats."""

MOST_PIXELS = 2**26
"""Of a picture, which takes some bytes for each while it is read; a training image has far fewer."""

GREY = ("1", "L", "LA", "La")


def is_grey(path: Path) -> bool:
    """Whether the file says that its picture has no colours.

    Raises:
        UserError: if it is no picture.
    """
    return _opened(path, lambda picture: picture.mode in GREY)


def read(path: Path, grey: bool, edge: int | None = None) -> Array:
    """The picture's pixels.

    Args:
        path: its file.
        grey: whether it is wanted in grey, or in colours.
        edge: edge in pixels of the square that it is stretched to; None leaves its size.

    Returns:
        uint8, (H, W) or (H, W, 3).

    Raises:
        UserError: naming the file, if it is damaged, no picture, or one that `pixels` refuses.
    """
    return _opened(path, lambda picture: pixels(picture, grey, str(path), edge))


def pixels(picture: Image.Image, grey: bool, where: str, edge: int | None = None) -> Array:
    """The same of a decoded picture, upright as its EXIF orientation says.

    An alpha channel that is opaque everywhere says nothing and is dropped.

    Raises:
        UserError: if it has a transparent pixel, more than 8 bits of grey, or several frames.
    """
    require_small(picture, where)
    frames = getattr(picture, "n_frames", 1)
    # What else is in a camera's MPO file are views of the same picture.
    if frames > 1 and picture.format != "MPO":
        raise UserError(f"the picture has {frames} frames", where=where, remedy="a file for each frame")
    if picture.mode.startswith(("I", "F")):  # Pillow would cut off what is above 255
        raise UserError(
            f"the picture has more than 8 bits a channel (mode {picture.mode})",
            where=where,
            remedy="8-bit pictures, or an npz file with floats in [0, 1]",
        )
    if picture.has_transparency_data and _least_alpha(picture) < 255:
        raise UserError(
            "the picture has transparent pixels, and no background is known to put behind them",
            where=where,
            remedy="pictures without transparency: magick mogrify -background white -alpha remove *.png",
        )
    plain = ImageOps.exif_transpose(picture).convert("L" if grey else "RGB")
    return np.asarray(plain if edge is None else plain.resize((edge, edge), Image.Resampling.BILINEAR))


def require_small(picture: Image.Image, where: str) -> None:
    """Refuses a picture of which a small file says that it is huge, before it is decoded.

    Raises:
        UserError: with its size.
    """
    if picture.width * picture.height > MOST_PIXELS:
        raise UserError(
            f"the picture has {picture.width:,} x {picture.height:,} pixels",
            where=where,
            remedy=f"at most {MOST_PIXELS:,} pixels",
        )


def _least_alpha(picture: Image.Image) -> int:
    return int(np.asarray(picture.convert("RGBA"))[..., 3].min())


def _opened(path: Path, use: Callable[[Image.Image], T]) -> T:
    remedy = "an intact png or jpg file"
    if not path.is_file():  # a pipe would be waited for
        raise UserError("this is no file, or a link that leads nowhere", where=str(path), remedy=remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at below
            with Image.open(path, formats=FORMATS) as picture:
                require_small(picture, str(path))
                return use(picture)
    except UserError:
        raise
    except Exception as error:  # Pillow raises many things over a damaged picture
        raise UserError(f"the picture cannot be read: {error}", where=str(path), remedy=remedy) from error
