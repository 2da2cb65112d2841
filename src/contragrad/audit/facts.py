"""What an audit knows beside its figures: what came of attempts, other networks, facts of the target."""

from dataclasses import dataclass

from torch import Tensor

from contragrad.attacks.library import Norm, norm_of
from contragrad.audit.attempts import Attempt, Held
from contragrad.settings.choices import Objective


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt and what came of it."""

    attempt: Attempt
    held: Held

    @property
    def norm(self) -> Norm:
        """In which its epsilon is measured."""
        return norm_of(self.attempt.attack.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Another network on the images and on the reference's examples by PGD.

    Args:
        clean: whether it is right on the images, bool (N,).
        adversarial: whether it is right on the examples, bool (N,).
        architecture: its text.
        objective: what it was trained for.
        epochs: for how long.
    """

    clean: Tensor
    adversarial: Tensor
    architecture: str
    objective: Objective
    epochs: int

    @property
    def survivors(self) -> Tensor:
        """Whether it is right on an image and on its example, bool (N,)."""
        return self.clean & self.adversarial


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the target and its data beside measurements.

    Args:
        target: its name.
        data: the source of the images, and their fingerprint.
        reference: what the reference is called.
        reference_made: whether its weights were given, or it was trained here, in words.
        architecture: the target's text; None if it is not known.
        objective: what it was trained for.
        epochs: for how long.
        recipe_known: whether the two above are known, not assumed.
        classes: how many.
        chance: what a constant answer scores, the largest class's share of the audited images.
        selected_on_test: the study chose it on the test images; None if nobody knows how it was chosen.
        looks: how often the study measured networks on the test images; None outside of a study.
        weights: its file.
        fingerprint: of its weights.
        settings_fingerprint: of the study's settings.
        seed: the audit's; None if it is a secret.
    """

    target: str
    data: str
    reference: str
    reference_made: str
    architecture: str | None
    objective: Objective
    epochs: int
    recipe_known: bool
    classes: int
    chance: float
    selected_on_test: bool | None
    looks: int | None
    weights: str
    fingerprint: str
    settings_fingerprint: str
    seed: int | None
