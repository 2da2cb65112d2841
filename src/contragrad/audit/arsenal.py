"""The sources that an audit has, and how it comes by those that it has not."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torchvision.models import ResNet

from contragrad.attacks.transfer import with_skips
from contragrad.audit import sources
from contragrad.audit.attackers import REFERENCE, TARGET
from contragrad.audit.attempts import Field, Named
from contragrad.audit.braced import braced, fault_of
from contragrad.audit.distillation import COPY, distilled, distilled_name
from contragrad.audit.pace import Paces
from contragrad.audit.settings import AuditSettings
from contragrad.audit.target import Target, is_foreign
from contragrad.data.dataset import Examples, Splits
from contragrad.engine.executors import Executor, TaskFailedError
from contragrad.errors import UnusableSourceError
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.jobs import full_trainings
from contragrad.jobs.material import make_material, missing_sources
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import against, deployed_architecture, deployed_name, task_name
from contragrad.networks.objectives import OBJECTIVES, PLAIN_STEP, step_cost
from contragrad.reference import architecture
from contragrad.run_folder.contents import load_reference, normalisation
from contragrad.run_folder.workspace import Workspace
from contragrad.watch.events import Ended, Stage, Watcher, epoch_of


@dataclass(slots=True, kw_only=True)
class Arsenal:
    """The sources that an audit has, and how it comes by those that it has not.

    Args:
        workspace: the run folder.
        splits: its images.
        target: the network that is audited.
        settings: how deep.
        executor: who trains.
        watch: who is told.
        tasks: the trainings of sources, by name.
        networks: the sources that are there.
        missing: what was left out, and why.
        too_long: of it, what there was no time for, and how many seconds it would take.
        lost: sources that cannot be had.
        paces: how long an image's gradient takes.
    """

    workspace: Workspace
    splits: Splits
    target: Target
    settings: AuditSettings
    executor: Executor
    watch: Watcher
    tasks: dict[str, FullTraining] = field(init=False)
    networks: dict[str, Named] = field(init=False)
    missing: dict[str, str] = field(default_factory=dict)
    too_long: dict[str, float] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    paces: Paces = field(init=False)

    def __post_init__(self) -> None:
        self.paces = Paces(self.workspace.problem, self.splits.test)
        self.tasks = {
            name: _of_this_code(task, self.target)
            for name, task in sources.trainings(self.workspace, self.target, self.settings.surrogates).items()
            if not self._refused(name, task)
        }
        no_strangers = sources.acquainted(self.workspace.config, self.target)
        self.missing |= no_strangers
        self.lost |= no_strangers.keys()
        if task_name(self.tasks[sources.ANOTHER], self.workspace) == self.target.fingerprint:
            self._lose(sources.ANOTHER, sources.ITSELF)
            del self.tasks[sources.ANOTHER]
        reference = load_reference(self.workspace, self.splits)
        foreign = is_foreign(architecture(self.workspace.config.reference))
        self.networks = {
            REFERENCE: Named(reference, self.workspace.reference_name, foreign),
            TARGET: Named(self.target.network, self.target.fingerprint, self.target.foreign),
        }

    def _refused(self, name: str, task: FullTraining) -> bool:
        """Whether the target's architecture cannot be trained so; notes why."""
        why = self.target.refused.get(task.objective) if _anew(task, self.target) else None
        if why is not None:
            self._lose(name, why)
        return why is not None

    def architectures(self) -> dict[str, str]:
        """Of the sources that are built here, by name."""
        texts = {name: deployed_architecture(task, self.workspace) for name, task in self.tasks.items()}
        return texts | {
            REFERENCE: self._reference_text(),
            sources.DISTILLED: COPY,
        }

    def _reference_text(self) -> str:
        """As a torchvision network if it is one, whoever's code made it: what can be tried goes by that."""
        text = architecture(self.workspace.config.reference)
        skipping = with_skips(self.networks[REFERENCE].network)
        if len(skipping) != 1 or text.startswith("torchvision"):
            return text
        kind = "resnet" if isinstance(skipping[0], ResNet) else "densenet"
        return f"torchvision {kind}, {text}"

    def reachable(self, name: str) -> bool:
        """Whether the source is there or can be had; if not, notes why."""
        if name in self.lost:
            return False
        if name in self.networks or name in self.tasks or name == sources.DISTILLED:
            return True
        self.missing[name] = (
            "fast adversarial training has an L_inf ball, the study's attack another"
            if name == sources.ADVERSARIAL
            else "the network's architecture is not known, so it cannot be trained anew"
        )
        return False

    def fingerprint_of(self, name: str) -> str:
        """Of a source that is there or can be had, before it is."""
        if name in self.networks:
            return self.networks[name].fingerprint
        if name == sources.DISTILLED:
            return distilled_name(self.workspace, self.target, self.settings)
        return deployed_name(self.tasks[name], self.workspace)

    def _trained_as(self, name: str) -> str:
        """Of the weights that its training leaves, without those that it may be deployed with."""
        return (
            task_name(self.tasks[name], self.workspace) if name in self.tasks else self.fingerprint_of(name)
        )

    def seconds_to_have(self, name: str) -> float:
        """How long it will take to come by the source, and by those that its training is against."""
        if (
            name in self.networks
            or self.workspace.artefacts.find("network", self._trained_as(name)) is not None
        ):
            return 0.0
        if name == sources.DISTILLED:
            asked = self.workspace.config.reference.epochs * self.settings.distilled
            return asked * PLAIN_STEP * self._pace_of_training(name)
        task = self.tasks[name]
        takes = OBJECTIVES[task.objective].takes_sources
        before = missing_sources(against(task, self.workspace)).values() if takes else ()
        # Timed with all cores, which its sources are trained with; it is trained on one.
        own = self._seconds_to_train(task) * torch.get_num_threads() / self.executor.slots
        return own + sum(map(self._seconds_to_train, before))

    def _seconds_to_train(self, task: FullTraining) -> float:
        """With all cores; a step has its weights' gradients too."""
        work = task.epochs * len(self.splits.train) * step_cost(task.objective)
        return work * PLAIN_STEP * self.paces.of_architecture(task.architecture)

    def seconds_for_gradient(self, name: str) -> float:
        """How long an input gradient of the source takes for an image."""
        if name not in self.networks:
            return self._pace_of_training(name)
        known = self.networks[name]
        return self.paces.of(known.fingerprint, lambda: known.network)

    def _pace_of_training(self, name: str) -> float:
        if name == sources.DISTILLED:
            return self.paces.of_architecture(COPY)
        return self.paces.of_architecture(deployed_architecture(self.tasks[name], self.workspace))

    def arena(self, examples: Examples, target: Named) -> Field:
        """Where attempts are made against a network on these test images, no ordinary one beside it."""
        return Field(
            examples=examples,
            identity=fingerprint("audited/1", self.workspace.split_name, len(examples)),
            target=target,
            seed=self.workspace.config.seed,
            artefacts=self.workspace.artefacts,
        )

    def get(self, names: Sequence[str]) -> None:
        """Comes by the sources, those that are trained all at once; notes why if one cannot be had."""
        wanted = [name for name in names if name not in self.networks]
        self._train([self.tasks[name] for name in wanted if name in self.tasks])
        if sources.DISTILLED in wanted:
            self._distil()

    def join(self, name: str, members: Sequence[str]) -> bool:
        """Makes one source of those members that are there; False, noted, if there are no two."""
        there = [self.networks[each] for each in members if each in self.networks and each not in self.lost]
        if len(there) < 2:
            self.missing[name] = "there are no two sources to join"
            return False
        self.missing.pop(name, None)
        self.networks[name] = sources.ensemble(there)
        return True

    def _train(self, wanted: Sequence[FullTraining]) -> None:
        tasks = [task for task in wanted if self._supplied(task)]
        if not tasks:
            return
        trained = self._trained(tasks)
        normal = normalisation(self.splits.train)
        for task in tasks:
            if task in trained:
                network = full_trainings.trained_network(self.workspace, normal, task).requires_grad_(False)
                name = deployed_name(task, self.workspace)
                foreign = is_foreign(deployed_architecture(task, self.workspace))
                self.networks[task.name] = Named(braced(network, self.splits.test), name, foreign)
            elif task.name not in self.lost:
                self._lose(task.name, "its training diverged")

    def _trained(self, tasks: Sequence[FullTraining]) -> tuple[FullTraining, ...]:
        """Those of which there are networks; notes those at which somebody else's code failed."""
        left = list(tasks)
        while True:
            try:
                return full_trainings.train(self.workspace, left, self.executor, self.watch)
            except TaskFailedError as error:
                said = str(error).strip()
                failed = next(
                    (each for each in left if task_name(each, self.workspace) in said.partition("\n")[0]),
                    None,
                )
                if failed is None or not is_foreign(failed.architecture):
                    raise
                self._lose(failed.name, f"its training failed: {_cause(said)}")
                left.remove(failed)

    def _supplied(self, task: FullTraining) -> bool:
        """Makes what the training is against; False, noted, if that cannot be had."""
        try:
            make_material(self.workspace, self.splits, [task], self.watch)
        except UnusableSourceError as error:
            self._lose(task.name, error.what)
            return False
        return True

    def _lose(self, name: str, why: str) -> None:
        """Notes that a source cannot be had."""
        self.missing[name] = why
        self.lost.add(name)

    def _distil(self) -> None:
        name = sources.DISTILLED
        self.watch(Stage(f"training a {name}"))
        try:
            self.networks[name] = distilled(
                self.workspace,
                self.splits,
                self.target,
                self.settings,
                lambda message: self.watch(epoch_of(name, name, message)),
            )
        except UnusableSourceError as error:
            self._lose(name, error.what)
            self.watch(Ended(name))
            return
        except Exception as error:  # a user's network may fail at a question
            if not self.target.foreign:
                raise
            self._lose(name, fault_of(error))
            self.watch(Ended(name))
            return
        self.watch(Ended(name))


def _anew(task: FullTraining, target: Target) -> bool:
    """Whether a target's own architecture is trained."""
    return target.architecture is not None and task.architecture == target.architecture


def _of_this_code(task: FullTraining, target: Target) -> FullTraining:
    """The training; of code, from a seed that goes by the code, so that changed code is trained anew."""
    if not (target.code and _anew(task, target)):
        return task
    return replace(task, seed=stream_seed(task.seed, target.code))


def _cause(traceback: str) -> str:
    """The line of a traceback that names the exception, which may say more in lines after it."""
    _, _, last = traceback.rpartition('  File "')
    return next((line for line in last.splitlines()[1:] if line[:1].strip()), traceback.strip())
