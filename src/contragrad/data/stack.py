"""Pictures, one after the other -> one array, allocated once their number and size are known to fit."""

from collections.abc import Callable, Iterable

import numpy as np

from contragrad.data import memory
from contragrad.data.dataset import Array
from contragrad.errors import UserError

Reading = tuple[str, Callable[[], Array]]
"""Where a picture is, for messages, and what gives its pixels: uint8, (H, W) or (H, W, 3)."""

Refuse = Callable[[UserError], None]
"""What is told of a picture that cannot be had; if it returns, the next one is read."""


def stop(error: UserError) -> None:
    """Refuses everything at the first picture that cannot be had.

    Raises:
        UserError: the error.
    """
    raise error


def stacked(
    readings: Iterable[Reading], count: int, classes: int, *, held: int, where: str, refuse: Refuse
) -> Array:
    """The pixels of all pictures: uint8, (N, H, W, C).

    Args:
        readings: the pictures.
        count: how many they are.
        classes: of how many classes.
        held: bytes that whoever asks will hold for each byte; refused before the second picture is read if
            there are fewer.
        where: the whole of them, for messages.
        refuse: is told of each picture that cannot be had, or has another size than the first. The array is
            of no use if it has been.

    Raises:
        UserError: if there is no room for them, no picture at all, or what `refuse` raises.
    """
    images: Array | None = None
    for place, (own, read) in enumerate(readings):
        try:
            picture = read()
        except UserError as error:
            refuse(error)
            continue
        height, width = picture.shape[:2]
        if images is None:
            shape = (count, 1 if picture.ndim == 2 else 3, height, width)
            memory.require_images(shape, classes, held=held, where=where)
            images = np.empty(shape, np.uint8)
        if images.shape[2:] != (height, width):
            refuse(
                UserError(
                    f"the picture is {width} x {height}, the first one {images.shape[3]} x {images.shape[2]}",
                    where=own,
                    remedy="--size of an import, or data.image_size, stretches all of them to one square",
                )
            )
            continue
        images[place] = picture if picture.ndim == 2 else picture.transpose(2, 0, 1)
    if images is None:
        raise UserError("no picture can be had", where=where, remedy="intact pictures")
    # Networks read channels first; so the gate, which takes them last, has nothing to copy.
    return images.transpose(0, 2, 3, 1)
