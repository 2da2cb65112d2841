"""A run folder, which driver and workers share: what lies in it, and under which fingerprints.

study.yaml                  the configuration
study.db                    the memo: every evaluation
artefacts/                  splits, reference, directions, adversarial sets, networks
table.json                  the result
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from contragrad.artefacts import Artefacts
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Trial
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.networks.architectures import text_of
from contragrad.networks.inference import resolve_device
from contragrad.reference import architecture
from contragrad.settings.choices import WITH_PENALTY, Objective, Source, is_surrogate, surrogate_genome
from contragrad.settings.config import AttackSettings, ReferenceSettings, StudyConfig

CONFIGURATION = "study.yaml"
DATABASE = "study.db"
TABLE = "table.json"

EVALUATION = "evaluation/1"
"""Raised by hand when what an evaluation means changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A run folder with the values that name everything in it.

    Args:
        folder: the run folder.
        config: the study's settings.
        data: the data set's fingerprint.
        problem: the images' shape and the number of classes.
        weights: fingerprint of the reference's given weights; None if it is trained here.
        source_seed: names the streams of the sources that are trained here; None is the study's. An attacker
            who knows the recipe has sources of his own.
    """

    folder: Path
    config: StudyConfig
    data: str
    problem: Problem
    weights: str | None
    source_seed: int | None = None

    @property
    def artefacts(self) -> Artefacts:
        """The folder's large tensors."""
        return Artefacts(self.folder / "artefacts")

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""
        return resolve_device(self.config.device)

    @property
    def split_name(self) -> str:
        """Names the division into training, validation and test images.

        The test set chosen for the fitness takes no images from the training set.
        """
        held_out = (self.config.fitness_split, self.config.data.validation_fraction, self.config.seed)
        return fingerprint("splits/1", self.data, *held_out)

    @property
    def reference_name(self) -> str:
        """Names the reference: by its weights if they are given, else by how it is trained."""
        text = architecture(self.config.reference)
        if self.weights is not None:
            return fingerprint("reference-given/1", text, self.weights)
        recipe = (*self.config.training.without_gm, self.config.reference.epochs, self.config.seed)
        return fingerprint("reference/1", text, self.split_name, *recipe)

    def against(
        self,
        objective: Objective,
        sources: tuple[Source, ...] | None,
        source_seed: int | None,
        gm_weight: float | None = None,
    ) -> "Workspace":
        """The same for trainings by another objective, against other sources or somebody else's.

        Args:
            objective: what is trained for.
            sources: against whom; None are the study's. A key is left out where it has no part.
            source_seed: whose; None is the study's.
            gm_weight: that of the surrogates among them; None is the study's.
        """
        training = self.config.training
        training = training if gm_weight is None else replace(training, gm_weight=gm_weight)
        keyed = objective in WITH_PENALTY
        against = tuple(each for each in sources or training.sources if keyed or each != "key")
        training = replace(training, objective=objective, sources=against)
        return replace(self, config=replace(self.config, training=training), source_seed=source_seed)

    def seed_of_source(self, place: int) -> int:
        """The seed of a source that is trained here."""
        own = self.config.seed if self.source_seed is None else self.source_seed
        source = self.config.training.sources[place]
        if source == "key":  # it is the same after others have joined before it
            place = sum(surrogate_genome(other) is None for other in self.config.training.sources[:place])
        return stream_seed(own, "source", source, place)

    def source_names(self) -> tuple[str, ...]:
        """Names the networks that the objective takes directions and examples of, in their order."""
        training, names = self.config.training, []
        for place, source in enumerate(training.sources):
            if source == "reference":
                names.append(self.reference_name)
                continue
            seed = self.seed_of_source(place)
            recipe: tuple[object, ...] = (*training.without_gm, self.config.reference.epochs, seed)
            if is_surrogate(source):
                # Those that joined after it were not there when it was trained.
                known = tuple(
                    other
                    for later, other in enumerate(training.sources)
                    if later <= place or surrogate_genome(other) is None
                )
                recipe = (*recipe, replace(training, sources=known), self.config.attack, names)
            text = source_architecture(self.config.reference, source)
            names.append(fingerprint("source/1", text, self.split_name, *recipe))
        return tuple(names)

    def adversarial_name(
        self, part: str, source: str | None = None, attack: AttackSettings | None = None
    ) -> str:
        """Names adversarial examples at the images of a split; of the reference and by the study's attack.

        Args:
            part: the split.
            source: names the weights of another network that they are crafted on.
            attack: another attack.
        """
        names = (source or self.reference_name, self.split_name, part, attack or self.config.attack)
        return fingerprint("adversarial/1", *names, self.config.seed)

    def adversarial_names(self, part: str) -> tuple[str, ...]:
        """Names the adversarial examples at the images of a split, of each source that has any."""
        sources = zip(self.config.training.sources, self.source_names(), strict=True)
        return tuple(self.adversarial_name(part, name) for source, name in sources if source != "key")

    def evaluation_name(self, trial: Trial) -> str:
        """Names an evaluation: all that its outcome depends on."""
        return fingerprint(
            EVALUATION,
            str(trial.genome),
            trial.epochs,
            trial.replicate,
            self.config.training,
            self.config.search.limits,
            self.split_name,
            self.adversarial_name(self.config.fitness_split),
            # Left out where there are none, so that older names stand.
            *([{"rungs": trial.rungs}] if trial.rungs else []),
            *([{"sources": self.source_names()}] if self.config.training.sources != ("reference",) else []),
        )


def on_cpu(workspace: Workspace) -> Workspace:
    """The same where there may be no other device."""
    return replace(workspace, config=replace(workspace.config, device="cpu"))


def source_architecture(settings: ReferenceSettings, source: Source) -> str:
    """The architecture of a source, as the text that `construct` takes."""
    if (genome := surrogate_genome(source)) is not None:
        return genome
    match source:
        case "reference" | "another-seed" | "surrogate" | "key":
            return architecture(settings)
        case name:
            return text_of(name)


def directions_name(workspace: Workspace, source: str) -> str:
    """Names the unit gradients of a source at the training images."""
    return fingerprint("directions/1", source, workspace.split_name)
