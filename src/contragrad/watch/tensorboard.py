"""A run in TensorBoard: event files in RUN/tensorboard, written as things happen.

    search/             candidates and children, by evaluation
    children/KEY/       a child's losses, by epoch
    networks/NAME/      the same of a network that is trained in full; a long name is cut, and its key added

A session that goes on with a study tells the search's evaluations again, and an interrupted training from
where it is taken up. So each file begins by declaring void what older ones have from its own first step on:
whatever was interrupted, a reader finds each step once.
"""

from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from contragrad.engine.study import Told
from contragrad.watch.events import Ended, Epoch, Event, Opened, Searching, Watcher
from contragrad.watch.scalars import scalars

FOLDER = "tensorboard"
SEARCH = "search"
LONGEST = 200
"""Bytes of a folder's name: no system that we run on takes more than 255."""


@dataclass(slots=True)
class _Files:
    """The files that are being written, by what they are about."""

    root: Path
    writers: dict[str, SummaryWriter] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def write(self, about: str, folder: str, values: dict[str, float], step: int) -> None:
        """Adds a point to each curve, on disk when this returns."""
        if step <= self.last.get(about, -1):
            self.close(about)  # a training whose worker died begins again
        if about not in self.writers:
            self.writers[about] = SummaryWriter(str(self.root / folder), purge_step=step)
        self.last[about] = step
        for name, value in values.items():
            self.writers[about].add_scalar(name, value, step)
        self.writers[about].flush()

    def close(self, about: str) -> None:
        """Nothing more is about this."""
        if about in self.writers:
            self.writers.pop(about).close()
            del self.last[about]


def _folder(name: str, key: str) -> str:
    """A name that a folder may have: a surrogate's is its whole genome, and may be longer than that."""
    return name if len(name.encode()) <= LONGEST else f"{name[: LONGEST // 4]}... {key[:12]}"


def tensorboard() -> Watcher:
    """Writes event files into the folder of the study that is opened."""
    files = _Files(Path(FOLDER))

    def watch(event: Event) -> None:
        match event:
            case Opened(folder):
                files.root = folder / FOLDER
            case Searching():
                files.close(SEARCH)
            case Told():
                files.write(SEARCH, SEARCH, scalars(event), event.after.step)
            case Epoch(key, name, epoch, _, losses, trial):
                own = f"networks/{_folder(name, key)}" if trial is None else f"children/{key[:12]}"
                files.write(key, own, dict(losses), epoch)
            case Ended(key):
                files.close(key)
            case _:
                pass

    return watch
