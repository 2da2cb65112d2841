"""What somebody asks to be imported or checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["npz", "image-folder", "idx", "cifar10", "cifar100", "huggingface"]
"""What a set may be kept as."""

TEST = "test"
"""The folder or split that test images are in where nobody says another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be read, and how.

    Args:
        source: a file, a folder, or a name.
        kind: what it is; found out if left out.
        edge: edge in pixels of the square that each picture is stretched to; None leaves sizes alone.
        test: the folder or split that the test images are in.
        share: share of each class that is held out as test images where nobody has divided them.
    """

    source: str
    kind: Kind | None = None
    edge: int | None = None
    test: str = TEST
    share: float | None = None

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self.source).expanduser()
