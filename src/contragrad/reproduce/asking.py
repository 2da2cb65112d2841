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
from contragrad.jobs import full_trainings
from contragrad.jobs.curve import curve_of
from contragrad.jobs.material import make_material
from contragrad.jobs.refine import FullTraining, diverged
from contragrad.jobs.tasks import task_name
from contragrad.networks.inference import predict
from contragrad.networks.objectives import step_cost
from contragrad.reproduce import answers
from contragrad.reproduce.experiment import Place
from contragrad.reproduce.questions import Questions, Shown
from contragrad.reproduce.trainings import REFERENCE
from contragrad.run_folder.contents import adversarial_of, normalisation
from contragrad.settings.checks import radius
from contragrad.watch.events import Said, Stage, Watcher

TRAINED_AT_ONCE = 4
"""Networks a worker, which are trained before they are asked: more leave fewer workers idle at the end of a
group, and more weights in memory, and in artefacts alone if it is killed.
"""


@dataclass(slots=True)
class Asking:
    """Asks what is not known.

    Args:
        questions: all that is asked.
        place: the run folder.
        watch: who is told.

    Attributes:
        networks: those that are in memory.
    """

    questions: Questions
    place: Place
    watch: Watcher
    networks: dict[str, nn.Module] = field(init=False, default_factory=dict)

    def ask(self) -> None:
        """Asks the networks whose answers are not remembered, each row right after its examples' sources.

        So a study that is stopped leaves whole rows behind.
        """
        questions = self.questions
        wanted = questions.wanted()
        missing = {name: questions.unasked(name, shown) for name, shown in wanted.items()}
        crafting = {
            each.source
            for shown in missing.values()
            for each in shown
            if each.source is not None and not self._crafted(each)
        }
        ordered = [name for name in questions.names if missing.get(name) or name in crafting]
        ordered.sort(key=questions.by_rows().index)
        if ordered:
            self._prepare()
        at_once = TRAINED_AT_ONCE * self.place.executor.slots
        for start in range(0, len(ordered), at_once):
            group = ordered[start : start + at_once]
            self._train([questions.tasks[name] for name in group if name in questions.tasks])
            self.watch(Stage(f"measuring on the test images: {', '.join(group)}"))
            for name in group:
                self._ask(name, wanted.get(name, []))
                self._craft_on(name, missing)
                if name in questions.tasks:
                    self.networks.pop(name, None)

    def _prepare(self) -> None:
        """Has the reference in memory, and so all that trainings take of it where they look for it."""
        reference = self.place.reference()
        self.networks = {REFERENCE: reference}
        for name, chosen in self.questions.filters():
            self.networks[name] = Filtered(reference, FILTERS[chosen])

    def _craft_on(self, source: str, missing: Mapping[str, Sequence[Shown]]) -> None:
        """Crafts what somebody is to be shown of a source, which need not stay in memory then."""
        wanted = dict.fromkeys(each for shown in missing.values() for each in shown if each.source == source)
        for each in wanted:
            if self.questions.there(source) and self.questions.without_examples(each) is None:
                self._examples(each)

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
        answers.remember_gap(self.place.memo, self.questions.names[task.name], why, what=task.name)

    def _ask(self, network: str, shown: Sequence[Shown]) -> None:
        labels = self.place.splits.test.labels.cpu()
        for each in self.questions.unasked(network, shown):
            begun = time.monotonic()
            images = self._examples(each)
            if images is None:
                continue
            right = predict(self.networks[network], images) == labels
            answers.remember(
                self.place.memo,
                self.questions.names[network],
                self.questions.images(each),
                right,
                what=f"{network} on the test images{_crafted_by(each)}",
                seconds=time.monotonic() - begun,
            )

    def _crafted(self, shown: Shown) -> bool:
        return self.place.workspace.artefacts.find("adversarial", self.questions.images(shown)) is not None

    def _examples(self, shown: Shown) -> Tensor | None:
        """What is shown; None, remembered as a gap, if no examples can be crafted on the source."""
        if (source := shown.source) is None:
            return self.place.splits.test.images
        try:
            return adversarial_of(
                self.place.workspace,
                self.place.splits,
                "test",
                source=(self.questions.names[source], lambda: self.networks[source]),
                attack=shown.attack,
            )
        except UnusableSourceError as error:
            if source == REFERENCE:
                raise
            self.watch(Said(f"{source}: {error.what}"))
            what = f"examples{_crafted_by(shown)}"
            answers.remember_gap(self.place.memo, self.questions.images(shown), error.what, what=what)
            return None


def _crafted_by(shown: Shown) -> str:
    """By which attack on which network, for people."""
    if shown.attack is None:
        return ""
    return f", {shown.attack.name} {radius(shown.attack.epsilon)} on {shown.source}"
