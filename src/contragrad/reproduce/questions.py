"""What a table's networks are asked about test images on one data set, and what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from contragrad.engine.memo import Memo
from contragrad.fingerprint import fingerprint
from contragrad.jobs import full_trainings
from contragrad.jobs.recipes import RECIPES, FilterName, Found
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import task_name
from contragrad.reproduce import answers
from contragrad.reproduce.curves import Course
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.epsilon import Calibration
from contragrad.reproduce.trainings import REFERENCE, source_of, trainings
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import AttackSettings


@dataclass(frozen=True, slots=True)
class Shown:
    """Test images as networks see them.

    Args:
        source: the network that they were crafted on; None are the images themselves.
        attack: by which.
    """

    source: str | None = None
    attack: AttackSettings | None = None


CLEAN = Shown()


@dataclass(slots=True)
class Questions:
    """The networks of a table's rows and columns on one data set, and their answers.

    Args:
        definition: the table.
        columns: those of the data set.
        workspace: its run folder.
        memo: what is known.
        found: what the searches have found.
        calibration: the calibrated epsilon, if a column has one.

    Attributes:
        tasks: the trainings, by the network's name.
        names: of the networks' weights and filters, by the network's name.
        recalled: the answers that were read from the database.
    """

    definition: Definition
    columns: Sequence[Column]
    workspace: Workspace
    memo: Memo
    found: Found
    calibration: Calibration | None = None
    tasks: dict[str, FullTraining] = field(init=False)
    names: dict[str, str] = field(init=False)
    recalled: dict[tuple[str, Shown], Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        workspace = self.workspace
        listed = trainings(self.definition, self.columns, workspace.config, self.found)
        self.tasks = {task.name: task for task in listed}
        self.names = {REFERENCE: workspace.reference_name} | full_trainings.names(workspace, listed)
        for name, chosen in self.filters():
            self.names[name] = fingerprint("filtered/1", workspace.reference_name, chosen)

    def filters(self) -> list[tuple[str, FilterName]]:
        """The rows that are the reference behind a filter, and which."""
        return [(name, chosen) for name in self.definition.networks if (chosen := RECIPES[name].filter)]

    def shown(self, network: str, column: Column) -> Shown:
        """What a row's network sees in a column."""
        if column.source is None:
            return CLEAN
        return Shown(source_of(network, column.source), self.attack(column))

    def attack(self, column: Column) -> AttackSettings:
        """The one that a column's examples are crafted by."""
        epsilon = self.calibration.epsilon if self.calibration else None
        return column.crafted_by(self.workspace.config.attack, epsilon)

    def gap(self, network: str) -> str | None:
        """What became of a network's training if it did not come to its end; None if it did."""
        return answers.recall_gap(self.memo, self.names[network])

    def without_examples(self, shown: Shown) -> str | None:
        """Why no examples can be crafted that are to be shown; None if it is not known that they cannot."""
        if shown.source is None:
            return None
        return answers.recall_gap(self.memo, self.images(shown))

    def there(self, network: str) -> bool:
        """Whether a network's training came to its end."""
        return self.gap(network) is None

    def alike(self) -> tuple[tuple[str, ...], ...]:
        """The rows that are one network, each such group once."""
        groups: dict[str, list[str]] = {}
        for name in self.definition.networks:
            groups.setdefault(self.names[name], []).append(name)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    def trained(self) -> dict[str, str]:
        """The trained networks that were asked, and their names."""
        return {name: self.names[name] for name in self.tasks if self.there(name)}

    def epochs(self) -> dict[str, int]:
        """How long each network is trained at most, the reference among them if that is trained here."""
        reference = self.workspace.config.reference
        own = {} if reference.weights is not None else {REFERENCE: reference.epochs}
        return own | {name: task.epochs for name, task in self.tasks.items()}

    def courses(self) -> dict[str, Course]:
        """How the rows' trainings went, of those of which it was remembered."""
        found = {}
        for name, task in self.tasks.items():
            fitness = answers.recall_fitness(self.memo, task_name(task, self.workspace))
            if name in self.definition.networks and fitness is not None:
                found[name] = Course(fitness=fitness, planned=task.epochs, patience=task.patience)
        return found

    def right(self, network: str, shown: Shown) -> Tensor:
        """Whether a network that was asked gave each of the images its label, bool (N,)."""
        if (network, shown) not in self.recalled:
            found = answers.recall(self.memo, self.names[network], self.images(shown))
            assert found is not None, f"{network} was not asked"
            self.recalled[network, shown] = found
        return self.recalled[network, shown]

    def wanted(self) -> dict[str, list[Shown]]:
        """What each network is asked about: a row about its columns, a source about what is crafted on it."""
        wanted: dict[str, list[Shown]] = {REFERENCE: [CLEAN]}
        for network in self.definition.networks:
            for column in self.columns:
                shown = self.shown(network, column)
                for asked in dict.fromkeys((network, shown.source or network)):
                    wanted.setdefault(asked, [CLEAN]).append(shown)
        return {name: list(dict.fromkeys(shown)) for name, shown in wanted.items()}

    def by_rows(self) -> list[str]:
        """All networks, each row after the sources of its examples; what rows share comes with the first.

        The reference may be a row and every other row's source, and is the first.
        """
        sources = [column.source for column in self.columns if column.source is not None]
        found: list[str] = []
        for row in sorted(self.definition.networks, key=lambda name: name != REFERENCE):
            its = [source_of(row, source) for source in sources]
            found += [*(each for each in its if each != row), row]
        return list(dict.fromkeys([*found, REFERENCE]))

    def unasked(self, network: str, shown: Sequence[Shown]) -> list[Shown]:
        """What of it a network was not asked about, without examples of sources that diverged."""
        if not self.there(network):
            return []
        return [
            each
            for each in shown
            if (each.source is None or self.there(each.source))
            and self.without_examples(each) is None
            and answers.recall(self.memo, self.names[network], self.images(each)) is None
        ]

    def images(self, shown: Shown) -> str:
        """Names the images."""
        workspace = self.workspace
        if shown.source is None:
            return fingerprint("test images/1", workspace.split_name)
        return workspace.adversarial_name("test", self.names[shown.source], shown.attack)
