"""Networks asked about test images, as far as the memo does not have their answers.

Only what is missing is trained, crafted and asked, a few networks at a time: what was asked is remembered in
the study's database, and a table that was killed goes on from there, on another machine too.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from contragrad.defences import FILTERS, Filtered
from contragrad.errors import UnusableSourceError
from contragrad.fingerprint import fingerprint
from contragrad.jobs import full_trainings
from contragrad.jobs.curve import curve_of
from contragrad.jobs.material import make_material
from contragrad.jobs.recipes import RECIPES, FilterName, Found
from contragrad.jobs.refine import FullTraining, diverged
from contragrad.jobs.tasks import task_name
from contragrad.networks.inference import predict
from contragrad.networks.objectives import step_cost
from contragrad.reproduce import answers
from contragrad.reproduce.curves import Course
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.epsilon import Calibration, calibrate
from contragrad.reproduce.experiment import Place
from contragrad.reproduce.trainings import REFERENCE, source_of, trainings
from contragrad.run_folder.contents import adversarial_of, load_reference, normalisation
from contragrad.settings.checks import radius
from contragrad.settings.config import AttackSettings
from contragrad.watch.events import Said, Stage, Watcher


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

TRAINED_AT_ONCE = 4
"""Networks a worker, which are trained before they are asked: more leave fewer workers idle at the end of a
group, and more weights in memory, and in artefacts alone if it is killed.
"""


@dataclass(slots=True)
class Asking:
    """The networks of a table's rows and columns on one data set, and their answers.

    Args:
        definition: the table.
        columns: those of the data set.
        place: its run folder.
        found: what the searches have found.
        watch: who is told.
        tasks: the trainings, by the network's name.
        names: of the networks' weights and filters, by the network's name.
        networks: those that are in memory.
        calibration: the calibrated epsilon, if a column has one; `ask` finds it.
        recalled: the answers that were read from the database.
    """

    definition: Definition
    columns: Sequence[Column]
    place: Place
    found: Found
    watch: Watcher
    tasks: dict[str, FullTraining] = field(init=False)
    names: dict[str, str] = field(init=False)
    networks: dict[str, nn.Module] = field(init=False, default_factory=dict)
    calibration: Calibration | None = field(init=False, default=None)
    recalled: dict[tuple[str, Shown], Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        workspace = self.place.workspace
        listed = trainings(self.definition, self.columns, workspace.config, self.found)
        self.tasks = {task.name: task for task in listed}
        self.names = {REFERENCE: workspace.reference_name} | full_trainings.names(workspace, listed)
        for name, chosen in self._filters():
            self.names[name] = fingerprint("filtered/1", workspace.reference_name, chosen)

    def shown(self, network: str, column: Column) -> Shown:
        """What a row's network sees in a column."""
        if column.source is None:
            return CLEAN
        return Shown(source_of(network, column.source), self.attack(column))

    def attack(self, column: Column) -> AttackSettings:
        """The one that a column's examples are crafted by."""
        epsilon = self.calibration.epsilon if self.calibration else None
        return column.crafted_by(self.place.workspace.config.attack, epsilon)

    def gap(self, network: str) -> str | None:
        """What became of a network's training if it did not come to its end; None if it did."""
        return answers.recall_gap(self.place.memo, self.names[network])

    def without_examples(self, shown: Shown) -> str | None:
        """Why no examples can be crafted that are to be shown; None if it is not known that they cannot."""
        if shown.source is None:
            return None
        return answers.recall_gap(self.place.memo, self._images(shown))

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

    def courses(self) -> dict[str, Course]:
        """How the rows' trainings went, of those of which it was remembered."""
        workspace, memo = self.place.workspace, self.place.memo
        found = {}
        for name, task in self.tasks.items():
            fitness = answers.recall_fitness(memo, task_name(task, workspace))
            if name in self.definition.networks and fitness is not None:
                found[name] = Course(fitness=fitness, planned=task.epochs, patience=task.patience)
        return found

    def right(self, network: str, shown: Shown) -> Tensor:
        """Whether a network that was asked gave each of the images its label, bool (N,)."""
        if (network, shown) not in self.recalled:
            found = answers.recall(self.place.memo, self.names[network], self._images(shown))
            assert found is not None, f"{network} was not asked"
            self.recalled[network, shown] = found
        return self.recalled[network, shown]

    def ask(self) -> None:
        """Asks the networks whose answers are not remembered, rows after the sources of their examples."""
        self._calibrate()
        wanted = self._wanted()
        missing = {name: self._unasked(name, shown) for name, shown in wanted.items()}
        crafting = {
            each.source
            for shown in missing.values()
            for each in shown
            if each.source is not None and not self._crafted(each)
        }
        ordered = [name for name in self.names if missing.get(name) or name in crafting]
        ordered.sort(key=lambda name: name in self.definition.networks)
        if ordered:
            self._prepare()
        at_once = TRAINED_AT_ONCE * self.place.executor.slots
        for start in range(0, len(ordered), at_once):
            group = ordered[start : start + at_once]
            self._train([self.tasks[name] for name in group if name in self.tasks])
            self.watch(Stage(f"measuring on the test images: {', '.join(group)}"))
            for name in group:
                self._ask(name, wanted.get(name, []))
                self._craft_on(name, missing)
                if name in self.tasks:
                    self.networks.pop(name, None)

    def _filters(self) -> list[tuple[str, FilterName]]:
        """The rows that are the reference behind a filter, and which."""
        return [(name, chosen) for name in self.definition.networks if (chosen := RECIPES[name].filter)]

    def _prepare(self) -> None:
        """Makes what is needed to ask any network, and has the reference in memory."""
        self.place.prepare()
        reference = load_reference(self.place.workspace, self.place.splits)
        self.networks = {REFERENCE: reference}
        self.networks |= {name: Filtered(reference, FILTERS[chosen]) for name, chosen in self._filters()}

    def _craft_on(self, source: str, missing: Mapping[str, Sequence[Shown]]) -> None:
        """Crafts what somebody is to be shown of a source, which need not stay in memory then."""
        wanted = dict.fromkeys(each for shown in missing.values() for each in shown if each.source == source)
        for each in wanted:
            if self.there(source) and self.without_examples(each) is None:
                self._examples(each)

    def _calibrate(self) -> None:
        for column in self.columns:
            if column.calibrated:
                published = self.definition.networks[REFERENCE][column.name]
                self.calibration = calibrate(self.place, column, published)

    def _wanted(self) -> dict[str, list[Shown]]:
        """What each network is asked about: a row about its columns, a source about what is crafted on it."""
        wanted: dict[str, list[Shown]] = {REFERENCE: [CLEAN]}
        for network in self.definition.networks:
            for column in self.columns:
                shown = self.shown(network, column)
                for asked in dict.fromkeys((network, shown.source or network)):
                    wanted.setdefault(asked, [CLEAN]).append(shown)
        return {name: list(dict.fromkeys(shown)) for name, shown in wanted.items()}

    def _unasked(self, network: str, shown: Sequence[Shown]) -> list[Shown]:
        """What of it a network was not asked about, without examples of sources that diverged."""
        if not self.there(network):
            return []
        return [
            each
            for each in shown
            if (each.source is None or self.there(each.source))
            and self.without_examples(each) is None
            and answers.recall(self.place.memo, self.names[network], self._images(each)) is None
        ]

    def _train(self, tasks: Sequence[FullTraining]) -> None:
        workspace = self.place.workspace
        # The longest first, as far as objectives tell, so that no worker is left alone with one at the end.
        tasks = sorted(tasks, key=lambda task: task.epochs * step_cost(task.objective), reverse=True)
        tasks = [task for task in tasks if self._made_material(task)]
        if not tasks:
            return
        trained = full_trainings.train(workspace, tasks, self.place.executor, self.watch)
        normal = normalisation(self.place.splits.train)
        for task in tasks:
            if task in trained:
                self.networks[task.name] = full_trainings.trained_network(workspace, normal, task)
                self._remember_fitness(task)
            else:
                reason = diverged(workspace.artefacts, task_name(task, workspace))
                self._remember_gap(task, reason or "diverged")

    def _remember_fitness(self, task: FullTraining) -> None:
        name = task_name(task, self.place.workspace)
        curve = curve_of(self.place.workspace.artefacts, name)
        if curve is not None and curve.best_epoch is not None:
            answers.remember_fitness(self.place.memo, name, curve.fitness, what=task.name)

    def _made_material(self, task: FullTraining) -> bool:
        """Makes what a training is against; it will not take place if a source cannot serve."""
        try:
            make_material(self.place.workspace, self.place.splits, [task], self.watch)
        except UnusableSourceError as error:
            why = f"was not begun: {error.what}"
            self.watch(Said(f"{task.name} is left out: its training {why}"))
            self._remember_gap(task, why)
            return False
        return True

    def _remember_gap(self, task: FullTraining, why: str) -> None:
        answers.remember_gap(self.place.memo, self.names[task.name], why, what=task.name)

    def _ask(self, network: str, shown: Sequence[Shown]) -> None:
        labels = self.place.splits.test.labels.cpu()
        for each in self._unasked(network, shown):
            begun = time.monotonic()
            images = self._examples(each)
            if images is None:
                continue
            right = predict(self.networks[network], images) == labels
            answers.remember(
                self.place.memo,
                self.names[network],
                self._images(each),
                right,
                what=f"{network} on the test images{_crafted_by(each)}",
                seconds=time.monotonic() - begun,
            )

    def _images(self, shown: Shown) -> str:
        """Names the images."""
        workspace = self.place.workspace
        if shown.source is None:
            return fingerprint("test images/1", workspace.split_name)
        return workspace.adversarial_name("test", self.names[shown.source], shown.attack)

    def _crafted(self, shown: Shown) -> bool:
        return self.place.workspace.artefacts.find("adversarial", self._images(shown)) is not None

    def _examples(self, shown: Shown) -> Tensor | None:
        """What is shown; None, remembered as a gap, if no examples can be crafted on the source."""
        if (source := shown.source) is None:
            return self.place.splits.test.images
        try:
            return adversarial_of(
                self.place.workspace,
                self.place.splits,
                "test",
                source=(self.names[source], lambda: self.networks[source]),
                attack=shown.attack,
            )
        except UnusableSourceError as error:
            if source == REFERENCE:
                raise
            self.watch(Said(f"{source}: {error.what}"))
            what = f"examples{_crafted_by(shown)}"
            answers.remember_gap(self.place.memo, self._images(shown), error.what, what=what)
            return None


def _crafted_by(shown: Shown) -> str:
    """By which attack on which network, for people."""
    if shown.attack is None:
        return ""
    return f", {shown.attack.name} {radius(shown.attack.epsilon)} on {shown.source}"
