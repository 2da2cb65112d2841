"""What somebody asks to be imported or checked, and what is found where images are looked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contragrad.settings.choices import DataSource

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


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What one data source makes of a file or folder.

    Args:
        where: the file or folder.
        says: the images it holds, or what is wrong with it.
        source: the `data.source` that reads it; None if it cannot be read.
    """

    where: str
    says: str
    source: DataSource | None
