"""Attacks that were made to transfer: torchattack's, with what they lack."""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchattack import DIFGSM, MIFGSM, SGM, TIFGSM, VMIFGSM
from torchvision.models.densenet import DenseNet
from torchvision.models.resnet import Bottleneck, ResNet

from contragrad.attacks.adapter import Attack, adapted, climbed
from contragrad.errors import UserError
from contragrad.networks.misalignment import TINY
from contragrad.settings.config import AttackSettings


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


def mi_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum.

    Source: Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018.
    """
    library = MIFGSM(network, device=device, **_momentum_options(settings))
    return adapted(library, settings.name, followed=_nowhere_zero)


def targeted_mi_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum towards another class, one drawn at random for each image.

    Source: Dong et al., as for `mi-fgsm`, section 3.2.
    """

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        drawn: list[Tensor] = []

        def towards(logits: Tensor, labels: Tensor) -> Tensor:
            classes = logits.shape[1]
            if not drawn:
                drawn.append((labels + torch.randint_like(labels, 1, classes)) % classes)
            return -climbed(logits, drawn[0])

        library: Any = MIFGSM(network, device=device, **_momentum_options(settings))
        climb = adapted(library, settings.name, followed=_nowhere_zero)
        library.lossfn = towards
        return climb(images, labels)

    return attack


def ni_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
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
        return adapted(library, settings.name, shown=ahead, followed=added_up)(images, labels)

    return attack


def di_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
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
        return adapted(library, settings.name, shown=stretched, followed=_nowhere_zero)(images, labels)

    return attack


def ti_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
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
        return adapted(library, settings.name, followed=smoothed)(images, labels)

    return attack


def vmi_fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum, with gradients brought closer to their mean around the images.

    Source: Wang and He, "Enhancing the transferability of adversarial attacks through variance tuning",
        CVPR 2021.
    Deviates: the mean is of torchattack's 5 neighbours, not of 20, which on reduced Fashion-MNIST transferred
        no better.
    """
    library = VMIFGSM(network, device=device, **_momentum_options(settings))
    return adapted(library, settings.name, followed=_nowhere_zero)


def with_skips(network: nn.Module) -> list[ResNet | DenseNet]:
    """The networks of torchvision's in a network, or itself, whose skips SGM reads."""
    return [module for module in network.modules() if isinstance(module, ResNet | DenseNet)]


def sgm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """Momentum, with gradients that come through the skips more than through the blocks.

    Of a copy, because torchattack's hooks remain in the network for good.

    Raises:
        UserError: if there is not one ResNet or DenseNet of torchvision in the network.

    Source: Wu et al., "Skip connections matter: on the transferability of adversarial examples generated with
        ResNets", ICLR 2020; what blocks are weakened by too, 0.2 for ResNets and 0.5 for DenseNets.
    """
    hooked = copy.deepcopy(network)
    found = with_skips(hooked)
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
    climb = adapted(library, settings.name, followed=_nowhere_zero)

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using a non-full backward hook", FutureWarning)
            return climb(images, labels)

    return attack
