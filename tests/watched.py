"""A study that is rehearsed in milliseconds, for those who watch: only its networks are made up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from contragrad.engine.executors import Event, Finished, Progressed
from contragrad.engine.memo import DictMemo, Memo
from contragrad.evaluate import Row
from contragrad.evolution.search import State
from contragrad.evolution.trial import Trial, outcome_to_json
from contragrad.jobs import run
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import RefineSettings, StudyConfig
from contragrad.watch.events import Opened, Planned, Results, Stage, Watcher
from performers import toy
from strategies import CIFAR, small_settings

SEARCH = small_settings(population=3, children=2, generations=3, epochs=2)
CONFIG = StudyConfig(seed=5, search=SEARCH, refine=RefineSettings(networks=1))
TOTAL = 3 + 3 * 3 * 2

ROWS = (
    Row(
        name="reference",
        clean_accuracy=0.875,
        adversarial_accuracy=0.25,
        clean_interval=(0.85, 0.9),
        adversarial_interval=(0.2, 0.3),
        parameters=1_234_567,
        images=1000,
        architecture="conv(4,3) fc(4)",
        weights="artefacts/network-1.safetensors",
    ),
)


class KilledError(Exception):
    """The driver is gone."""


@dataclass
class Rehearsal:
    """An executor without workers: each wait is an epoch of every running trial; `spend` has time pass.

    Args:
        slots: trials at a time.
        waits: epochs after which the driver is killed, if ever.
        seconds: what an epoch is said to take.
        spend: called with each epoch.
    """

    slots: int = 2
    waits: int | None = None
    seconds: float = 1.0
    spend: Callable[[], None] = lambda: None
    running: dict[str, tuple[Trial, int]] = field(default_factory=dict)
    taken: list[Trial] = field(default_factory=list)

    def offer(self, key: str, task: object) -> bool:
        assert isinstance(task, Trial)
        if key in self.running or len(self.running) >= self.slots:
            return False
        self.running[key] = task, 0
        self.taken.append(task)
        return True

    def wait(self) -> list[Event]:
        assert self.running, "the driver waits for nothing"
        if self.waits is not None:
            self.waits -= 1
            if self.waits < 0:
                raise KilledError
        self.spend()
        events: list[Event] = []
        for key, (trial, epoch) in list(self.running.items()):
            epoch += 1
            self.running[key] = trial, epoch
            message = {"epoch": epoch, "epochs": trial.epochs, "cross_entropy": 1 / epoch}
            events.append(Progressed(key, message))
            if epoch == trial.epochs:
                del self.running[key]
                events.append(Finished(key, outcome_to_json(toy(trial)), trial.epochs * self.seconds))
        return events

    def close(self) -> None:
        self.running.clear()


def workspace(folder: Path, config: StudyConfig = CONFIG) -> Workspace:
    return Workspace(folder=folder, config=config, data="the data", problem=CIFAR, weights=None)


def rehearse(
    folder: Path,
    watch: Watcher,
    memo: Memo | None = None,
    executor: Rehearsal | None = None,
    config: StudyConfig = CONFIG,
) -> State:
    """A study of which only the search is real, from the opening of its folder to its table."""
    watch(Opened(folder, config))
    watch(Stage("training the reference, 3 epochs", (Planned("r", "reference", 3),)))
    found = run.evolve(workspace(folder, config), memo or DictMemo(), executor or Rehearsal(), watch)
    watch(Results(ROWS))
    return found
