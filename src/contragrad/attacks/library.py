"""Attacks by name: thin adapters over torchattack and AutoAttack.

The libraries do the steps; what they leave to their caller is in `attacks`.

Source: section 4.2.2 (FGSM, L_inf-PGD, L_2-PGD), refs. [1] and [44]. The paper has no others; each of them
    says whose it is.
Deviates: the loss that is climbed is the log-odds against the label, see `adapter.climbed`;
    AutoAttack has its own.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import nn
from torchattack import FGSM, PGD, PGDL2

from contragrad.attacks.adapter import Attack, adapted
from contragrad.attacks.autoattack import autoattack
from contragrad.attacks.transfer import di_fgsm, mi_fgsm, ni_fgsm, sgm, targeted_mi_fgsm, ti_fgsm, vmi_fgsm
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

Norm = Literal["linf", "l2"]


PGD_PATH = Fraction(5, 2)
"""The lengths of all steps of a PGD together, in epsilons, where no step's length is set."""


def _pgd_options(settings: AttackSettings) -> dict[str, Any]:
    epsilon, steps = settings.epsilon, settings.steps
    step_size = settings.step_size or PGD_PATH * epsilon / steps
    return {
        "eps": float(epsilon),
        "steps": steps,
        "alpha": float(step_size),
        "random_start": settings.random_start,
    }


def _fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return adapted(FGSM(network, device=device, eps=float(settings.epsilon)), settings.name)


def _linf_pgd(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return adapted(PGD(network, device=device, **_pgd_options(settings)), settings.name)


def _l2_pgd(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return adapted(PGDL2(network, device=device, **_pgd_options(settings)), settings.name)


ATTACKS: dict[AttackName, tuple[Norm, Callable[[nn.Module, AttackSettings, torch.device], Attack]]] = {
    "fgsm": ("linf", _fgsm),
    "linf-pgd": ("linf", _linf_pgd),
    "l2-pgd": ("l2", _l2_pgd),
    "mi-fgsm": ("linf", mi_fgsm),
    "ni-fgsm": ("linf", ni_fgsm),
    "di-fgsm": ("linf", di_fgsm),
    "ti-fgsm": ("linf", ti_fgsm),
    "vmi-fgsm": ("linf", vmi_fgsm),
    "targeted-mi-fgsm": ("linf", targeted_mi_fgsm),
    "sgm": ("linf", sgm),
    "autoattack": ("linf", autoattack),
}
"""Name -> the norm of its ball, and its constructor."""


def norm_of(name: AttackName) -> Norm:
    """The norm in which the attack's epsilon is measured."""
    return ATTACKS[name][0]


def settings_read(name: AttackName) -> tuple[str, ...]:
    """The settings that the attack reads beside its name and epsilon."""
    match name:
        case "fgsm" | "autoattack":  # one step of epsilon; steps of its own
            return ()
        case "linf-pgd" | "l2-pgd":
            return ("steps", "step_size", "random_start")
        case _:  # those with momentum start from the image
            return ("steps", "step_size")
