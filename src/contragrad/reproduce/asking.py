"""Networks asked about test images, as far as the memo does not have their answers.

Only what is missing is trained, crafted and asked, a few networks at a time: what was asked is remembered in
the study's database, and a table that was killed goes on from there, on another machine too.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from contragrad import table4
from contragrad.config import AttackSettings, StudyConfig
from contragrad.defences import FILTERS, Filtered
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.networks.inference import predict
from contragrad.progress import Progress
from contragrad.recipes import RECIPES, Found
from contragrad.refine import FullTraining
from contragrad.reproduce import answers
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.epsilon import Calibration, calibrate
from contragrad.reproduce.experiment import Place
from contragrad.tasks import task_name
from contragrad.workspace import adversarial_of, load_reference, material, normalisation

REFERENCE = "reference"


@dataclass(slots=True)
class Asking:
    """The networks of a table's rows and columns on one data set, and their answers.

    Args:
        definition: the table.
        columns: those of the data set.
        place: its run folder.
        found: what the searches have found.
        progress: who is told.
        tasks: the trainings, by the network's name.
        names: of the networks' weights and filters, by the network's name.
        networks: those that are in memory.
        calibration: the calibrated epsilon, if a column has one.
    """

    definition: Definition
    columns: Sequence[Column]
    place: Place
    found: Found
    progress: Progress
    tasks: dict[str, FullTraining] = field(init=False)
    names: dict[str, str] = field(init=False)
    networks: dict[str, nn.Module] = field(init=False)
    calibration: Calibration | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        workspace = self.place.workspace
        listed = trainings(self.definition.networks, self.columns, workspace.config, self.found)
        reference = load_reference(workspace, self.place.splits)
        self.tasks = {task.name: task for task in listed}
        self.names = {REFERENCE: workspace.reference_name} | table4.names(workspace, listed)
        self.networks = {REFERENCE: reference}
        for name in self.definition.networks:
            if chosen := RECIPES[name].filter:
                self.names[name] = fingerprint("filtered/1", workspace.reference_name, chosen)
                self.networks[name] = Filtered(reference, FILTERS[chosen])
        for column in self.columns:
            if column.calibrated:
                published = self.definition.networks[REFERENCE][column.name]
                self.calibration = calibrate(self.place, column, published)

    def attack(self, column: Column) -> AttackSettings:
        """The one that a column's examples are crafted by."""
        epsilon = self.calibration.epsilon if self.calibration else None
        return column.crafted_by(self.place.workspace.config.attack, epsilon)

    def there(self, network: str) -> bool:
        """Whether a network's training came to its end."""
        return answers.recall_gap(self.place.memo, self.names[network]) is None

    def trained(self) -> dict[str, str]:
        """The trained networks that were asked, and their names."""
        return {name: self.names[name] for name in self.tasks if self.there(name)}

    def right(self, network: str, column: Column | None) -> Tensor:
        """Whether a network that was asked gave each image of the column its label, bool (N,)."""
        found = answers.recall(self.place.memo, self.names[network], self._images(column))
        assert found is not None, f"{network} was not asked"
        return found

    def ask(self) -> None:
        """Asks the networks whose answers are not remembered, the sources of examples first."""
        sources = {column.source for column in self.columns if column.source in self.tasks}
        missing = [name for name in self.names if self._unasked(name)]
        needed = {
            column.source
            for name in missing
            for column in self._unasked(name)
            if column is not None and column.source in self.tasks and not self._crafted(column)
        }
        ordered = sorted(
            dict.fromkeys([*missing, *sorted(map(str, needed))]), key=lambda name: name not in sources
        )
        at_once = self.place.executor.slots
        for start in range(0, len(ordered), at_once):
            group = ordered[start : start + at_once]
            self._train([self.tasks[name] for name in group if name in self.tasks])
            self.progress.stage(f"measuring on the test images: {', '.join(group)}")
            for name in group:
                self._ask(name)
                if name in self.tasks and name not in sources:
                    self.networks.pop(name, None)

    def _columns(self, network: str) -> list[Column | None]:
        """What a network is asked about: a row about all, a source about its own examples; None is clean."""
        asked = [
            column
            for column in self.columns
            if column.source is not None
            and (network in self.definition.networks or network == column.source)
            and self.there(column.source)
        ]
        return [None, *asked]

    def _unasked(self, network: str) -> list[Column | None]:
        if not self.there(network):
            return []
        memo, name = self.place.memo, self.names[network]
        return [
            column
            for column in self._columns(network)
            if answers.recall(memo, name, self._images(column)) is None
        ]

    def _train(self, tasks: Sequence[FullTraining]) -> None:
        workspace = self.place.workspace
        if not tasks:
            return
        for objective in {task.objective for task in tasks}:
            material(workspace, objective)  # workers find it there
        trained = table4.train(workspace, tasks, self.place.executor, self.progress)
        normal = normalisation(self.place.splits.train)
        for task in tasks:
            if task in trained:
                self.networks[task.name] = table4.trained_network(workspace, normal, task)
            else:
                name = task_name(task, workspace)
                answers.remember_gap(self.place.memo, name, "diverged", what=task.name)

    def _ask(self, network: str) -> None:
        labels = self.place.splits.test.labels.cpu()
        for column in self._unasked(network):
            begun = time.monotonic()
            images = self.place.splits.test.images if column is None else self._examples(column)
            right = predict(self.networks[network], images) == labels
            answers.remember(
                self.place.memo,
                self.names[network],
                self._images(column),
                right,
                what=f"{network} on {'the test images' if column is None else column.name}",
                seconds=time.monotonic() - begun,
            )

    def _images(self, column: Column | None) -> str:
        """Names the images of a column."""
        workspace = self.place.workspace
        if column is None or column.source is None:
            return fingerprint("test images/1", workspace.split_name)
        return workspace.adversarial_name("test", self.names[column.source], self.attack(column))

    def _crafted(self, column: Column) -> bool:
        return self.place.workspace.artefacts.find("adversarial", self._images(column)) is not None

    def _examples(self, column: Column) -> Tensor:
        source = str(column.source)
        # Only examples that are not there need the network itself.
        network = self.networks.get(source, self.networks[REFERENCE])
        assert source in self.networks or self._crafted(column), f"{source} is not trained"
        return adversarial_of(
            self.place.workspace,
            self.place.splits,
            "test",
            source=(self.names[source], lambda: network),
            attack=self.attack(column),
        )


def trainings(
    networks: Iterable[str], columns: Iterable[Column], config: StudyConfig, found: Found
) -> list[FullTraining]:
    """The trainings of a table's rows and of its columns' sources; the reference's is no part of them."""
    tasks = [RECIPES[name].training(name, config, found) for name in networks]
    sources = {column.source for column in columns if column.source and column.source != REFERENCE}
    return [
        *(task for task in tasks if task is not None),
        *(source_training(source, config) for source in sorted(sources)),
    ]


def source_training(source: str, config: StudyConfig) -> FullTraining:
    """How a network that examples are crafted on is trained: with cross-entropy, as the reference is.

    Source: section 4.1.2; the paper does not say how its four networks are trained.
    """
    return FullTraining(
        name=source,
        architecture=f"torchvision {source}",
        objective="cross-entropy",
        epochs=config.reference.epochs,
        seed=stream_seed(config.seed, "source", source),
    )
