"""Attacks by name: thin adapters over torchattack.

The library does the gradient steps; what it leaves to its caller is in `attacks`.

Source: section 4.2.2 (FGSM, L_inf-PGD, L_2-PGD), refs. [1] and [44].
Deviates: the loss that is climbed is the log-odds against the label, see `_climbed`.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torchattack import FGSM, PGD, PGDL2

from contragrad.config import AttackName, AttackSettings
from contragrad.networks.misalignment import log_odds

Norm = Literal["linf", "l2"]


class Attack(Protocol):
    """What a constructor in `ATTACKS` returns; torchattack's objects are such attacks."""

    def __call__(self, images: Tensor, labels: Tensor, /) -> Tensor:
        """Examples (B, C, H, W) for images in [0, 1] and their labels (B,), on the network's device."""
        ...


def _climbed(logits: Tensor, labels: Tensor) -> Tensor:
    """The summed log-odds against the labels; a mean would shorten each gradient by the number of images.

    An example's gradient has the direction of its cross-entropy's, and an attack takes only that. But
    where the network is certain, cross-entropy loses the direction to rounding (on digits, at a median
    margin of 12 between logits, a quarter of the directions were off by 8° or more), L_2-PGD barely
    moves, and the network passes for robust.
    """
    return log_odds(logits, labels).sum()


def _adapted(attack: Any, name: AttackName) -> Attack:
    """The library's attack, made to climb the log-odds and to refuse gradients that are not finite.

    The L_inf attacks would take the sign of NaN, which is 0, and give the images back unharmed.
    """

    def require_finite(gradient: Tensor) -> None:
        if not gradient.isfinite().all():
            raise FloatingPointError(f"{name} met gradients that are not finite: is the network NaN?")

    def watched(images: Tensor) -> Tensor:
        images.register_hook(require_finite)  # type: ignore[no-untyped-call]
        return images

    attack.lossfn = _climbed
    attack.normalize = watched
    adapted: Attack = attack
    return adapted


def _pgd_options(settings: AttackSettings) -> dict[str, Any]:
    epsilon, steps = settings.epsilon, settings.steps
    step_size = settings.step_size or Fraction(5, 2) * epsilon / steps
    return {
        "eps": float(epsilon),
        "steps": steps,
        "alpha": float(step_size),
        "random_start": settings.random_start,
    }


def _fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return _adapted(FGSM(network, device=device, eps=float(settings.epsilon)), settings.name)


def _linf_pgd(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return _adapted(PGD(network, device=device, **_pgd_options(settings)), settings.name)


def _l2_pgd(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return _adapted(PGDL2(network, device=device, **_pgd_options(settings)), settings.name)


ATTACKS: dict[AttackName, tuple[Norm, Callable[[nn.Module, AttackSettings, torch.device], Attack]]] = {
    "fgsm": ("linf", _fgsm),
    "linf-pgd": ("linf", _linf_pgd),
    "l2-pgd": ("l2", _l2_pgd),
}
"""Name -> the norm of its ball, and its constructor."""


def norm_of(name: AttackName) -> Norm:
    """The norm in which the attack's epsilon is measured."""
    return ATTACKS[name][0]
