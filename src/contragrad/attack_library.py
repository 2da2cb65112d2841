"""Attacks by name: thin adapters over torchattack and AutoAttack.

The libraries do the steps; what they leave to their caller is in `attacks`.

Source: section 4.2.2 (FGSM, L_inf-PGD, L_2-PGD), refs. [1] and [44]. The paper has no others; each of them
    says whose it is.
Deviates: the loss that is climbed is the log-odds against the label, see `_climbed`; AutoAttack has its own.
"""

import copy
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchattack import DIFGSM, FGSM, MIFGSM, PGD, PGDL2, SGM, TIFGSM, VMIFGSM
from torchvision.models.densenet import DenseNet
from torchvision.models.resnet import Bottleneck, ResNet

from contragrad.choices import AttackName
from contragrad.config import AttackSettings
from contragrad.errors import UserError
from contragrad.extras import lacking
from contragrad.networks.misalignment import TINY, log_odds

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


def _require_finite(tensor: Tensor, name: AttackName, what: str) -> None:
    if not tensor.isfinite().all():
        raise FloatingPointError(f"{name} met {what} that are not finite: is the network NaN?")


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


def _adapted(
    attack: Any,
    name: AttackName,
    *,
    shown: Callable[[Tensor], Tensor] = _unchanged,
    followed: Callable[[Tensor], Tensor] = _unchanged,
) -> Attack:
    """The library's attack, made to climb the log-odds and to refuse gradients that are not finite.

    The L_inf attacks would take the sign of NaN, which is 0, and give the images back unharmed.

    Args:
        attack: of torchattack.
        name: its name, for the error.
        shown: the attack's images -> what the network sees in their place.
        followed: the loss's gradient by what was shown -> what the attack takes for it.
    """

    def checked(gradient: Tensor) -> Tensor:
        _require_finite(gradient, name, "gradients")
        return followed(gradient)

    def watched(images: Tensor) -> Tensor:
        images = shown(images)
        images.register_hook(checked)  # type: ignore[no-untyped-call]
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


def _momentum_options(settings: AttackSettings) -> dict[str, Any]:
    """Of attacks that add up their gradients, with a decay of 1; their authors' step is epsilon / steps."""
    epsilon, steps = settings.epsilon, settings.steps
    step_size = settings.step_size or epsilon / steps
    return {"eps": float(epsilon), "steps": steps, "alpha": float(step_size), "decay": 1.0}


def _nowhere_zero(gradients: Tensor) -> Tensor:
    """The gradients, with a faint random one for an image that has none.

    An image's gradient is divided by its mean before it is added up. 0/0 would be NaN in the sum for good,
    so that a network without gradients at one step would be safe from all that follow.
    """
    none = gradients.flatten(1).abs().amax(1) < TINY
    if not none.any():
        return gradients
    return torch.where(none.reshape(-1, 1, 1, 1), TINY * torch.randn_like(gradients), gradients)


def _mi_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum.

    Source: Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018.
    """
    library = MIFGSM(network, device=device, **_momentum_options(settings))
    return _adapted(library, settings.name, followed=_nowhere_zero)


def _targeted_mi_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum towards another class, one drawn at random for each image.

    Source: Dong et al., as for `mi-fgsm`, section 3.2.
    """

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        drawn: list[Tensor] = []

        def towards(logits: Tensor, labels: Tensor) -> Tensor:
            classes = logits.shape[1]
            if not drawn:
                drawn.append((labels + torch.randint_like(labels, 1, classes)) % classes)
            return -_climbed(logits, drawn[0])

        library: Any = MIFGSM(network, device=device, **_momentum_options(settings))
        adapted = _adapted(library, settings.name, followed=_nowhere_zero)
        library.lossfn = towards
        return adapted(images, labels)

    return attack


def _ni_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Nesterov's momentum: gradients are taken where the momentum leads.

    Source: Lin et al., "Nesterov accelerated gradient and scale invariance for adversarial attacks", ICLR
        2020.
    Deviates: torchattack's NIFGSM forgets the sum of its gradients at each step (1.7.2), and what is left
        transfers worse than PGD. So this is its MIFGSM, which sees the images a step of the momentum ahead.
    """
    options = _momentum_options(settings)
    step_size: float = options["alpha"]

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        momentum = torch.zeros_like(images)

        def ahead(examples: Tensor) -> Tensor:
            return examples + step_size * momentum

        def added_up(gradients: Tensor) -> Tensor:
            nonlocal momentum
            gradients = _nowhere_zero(gradients)
            momentum = momentum + gradients / gradients.abs().mean((1, 2, 3), keepdim=True)
            return gradients

        library = MIFGSM(network, device=device, **options)
        return _adapted(library, settings.name, shown=ahead, followed=added_up)(images, labels)

    return attack


def _di_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum, and in half of the steps the images are shrunk to a random size and padded with black.

    Source: Xie et al., "Improving transferability of adversarial examples with input diversity", CVPR 2019,
        which has the half.
    Deviates: torchattack makes images square, so those that were not are stretched back.
    """

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        shape = images.shape[-2:]

        def stretched(diverse: Tensor) -> Tensor:
            return diverse if diverse.shape[-2:] == shape else F.interpolate(diverse, shape)

        library = DIFGSM(network, device=device, diversity_prob=0.5, **_momentum_options(settings))
        return _adapted(library, settings.name, shown=stretched, followed=_nowhere_zero)(images, labels)

    return attack


def _ti_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum of smoothed gradients, which are about those of shifted images.

    Source: Dong et al., "Evading defenses to transferable adversarial examples by translation-invariant
        attacks", CVPR 2019.
    Deviates: torchattack's TIFGSM takes three channels only, and forgets its momentum at each step (1.7.2).
        So this is its MIFGSM, whose gradients are smoothed with the kernel of its TIFGSM. The kernel is as
        long as a quarter of the image's shorter edge, from 3 to the paper's 15, which are for 299 pixels: on
        reduced Fashion-MNIST 15 transferred worse than 3, 5 and 7.
    """

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        length = min(15, max(3, min(images.shape[-2:]) // 4 | 1))
        kernel = torch.from_numpy(TIFGSM.gkern(length)).to(device)
        kernels = kernel.expand(images.shape[1], 1, -1, -1)

        def smoothed(gradients: Tensor) -> Tensor:
            return _nowhere_zero(F.conv2d(gradients, kernels, padding="same", groups=len(kernels)))

        library = MIFGSM(network, device=device, **_momentum_options(settings))
        return _adapted(library, settings.name, followed=smoothed)(images, labels)

    return attack


def _vmi_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum, with gradients brought closer to their mean around the images.

    Source: Wang and He, "Enhancing the transferability of adversarial attacks through variance tuning",
        CVPR 2021.
    Deviates: the mean is of torchattack's 5 neighbours, not of 20, which on reduced Fashion-MNIST transferred
        no better.
    """
    library = VMIFGSM(network, device=device, **_momentum_options(settings))
    return _adapted(library, settings.name, followed=_nowhere_zero)


def _sgm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum, with gradients that come through the skips more than through the blocks.

    Of a copy, because torchattack's hooks remain in the network for good.

    Raises:
        UserError: if there is not one ResNet or DenseNet of torchvision in the network.

    Source: Wu et al., "Skip connections matter: on the transferability of adversarial examples generated with
        ResNets", ICLR 2020; what blocks are weakened by too, 0.2 for ResNets and 0.5 for DenseNets.
    """
    hooked = copy.deepcopy(network)
    found = [module for module in hooked.modules() if isinstance(module, ResNet | DenseNet)]
    if len(found) != 1:
        raise UserError(
            "sgm reads the skips of torchvision's ResNets and DenseNets, and this network is neither",
            where="attack.name: sgm",
            remedy="another attack, such as mi-fgsm",
        )
    dense = isinstance(found[0], DenseNet)
    deep = any(isinstance(module, Bottleneck) for module in found[0].modules())
    library = SGM(
        found[0],
        device=device,
        hook_cfg="densenet121" if dense else "resnet50" if deep else "resnet18",  # of its kind, of any depth
        gamma=0.5 if dense else 0.2,
        **_momentum_options(settings),
    )
    library.model = hooked
    climb = _adapted(library, settings.name, followed=_nowhere_zero)

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using a non-full backward hook", FutureWarning)
            return climb(images, labels)

    return attack


def _autoattack(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """AutoAttack's standard version: APGD on cross-entropy, APGD and FAB with 9 targets, and Square.

    It goes on with the images that still hold, and those that hold to the end come back as they were, as do
    those that were wrong from the beginning. It reads `epsilon` alone.

    Raises:
        UserError: if pyautoattack is missing.

    Source: Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
        parameter-free attacks", ICML 2020.
    Deviates: with fewer than 10 classes there are as many targets as other classes; the targeted APGD's loss
        needs 4 classes, so with 3 it is the untargeted one's, and with 2 there is none.
    """
    try:
        from pyautoattack import AutoAttack
    except ImportError as error:
        raise lacking("pyautoattack", "audit", job="AutoAttack", where="attack.name: autoattack") from error

    def logits(images: Tensor) -> Tensor:
        if images.requires_grad:
            images.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: _require_finite(gradient, settings.name, "gradients")
            )
        # Square writes into what it is given, and FAB mixes it with the images.
        answer: Tensor = network(images).to(images.dtype, copy=True)
        _require_finite(answer, settings.name, "logits")
        return answer

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        classes = logits(images[:1]).shape[1]
        second = ["apgd-t"] if classes > 3 else ["apgd-dlr"] if classes == 3 else []
        with _undisturbed():
            # It seeds torch's global generators, and by the clock if it is given no seed.
            seed = int(torch.randint(2**31, ()))
            library = AutoAttack(logits, device=device, eps=float(settings.epsilon), norm="Linf", seed=seed)
            library.attacks_to_run = ["apgd-ce", *second, "fab-t", "square"]
            library.apgd_targeted.n_target_classes = library.fab.n_target_classes = min(9, classes - 1)
            examples: Tensor
            examples, _ = library.run_standard_evaluation(images, labels.long(), batch_size=len(images))
        return examples

    return attack


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A block in which AutoAttack logs nothing, and after which a debugger traces again."""
    logger, tracer = logging.getLogger("auto-attack"), sys.gettrace()
    disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = disabled
        sys.settrace(tracer)


ATTACKS: dict[AttackName, tuple[Norm, Callable[[nn.Module, AttackSettings, torch.device], Attack]]] = {
    "fgsm": ("linf", _fgsm),
    "linf-pgd": ("linf", _linf_pgd),
    "l2-pgd": ("l2", _l2_pgd),
    "mi-fgsm": ("linf", _mi_fgsm),
    "ni-fgsm": ("linf", _ni_fgsm),
    "di-fgsm": ("linf", _di_fgsm),
    "ti-fgsm": ("linf", _ti_fgsm),
    "vmi-fgsm": ("linf", _vmi_fgsm),
    "targeted-mi-fgsm": ("linf", _targeted_mi_fgsm),
    "sgm": ("linf", _sgm),
    "autoattack": ("linf", _autoattack),
}
"""Name -> the norm of its ball, and its constructor."""


def norm_of(name: AttackName) -> Norm:
    """The norm in which the attack's epsilon is measured."""
    return ATTACKS[name][0]
