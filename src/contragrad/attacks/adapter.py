"""What attacks of the libraries are made to do: climb the log-odds, refuse gradients that are not finite."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from contragrad.networks.misalignment import log_odds
from contragrad.settings.choices import AttackName


class Attack(Protocol):
    """What a constructor in `ATTACKS` returns; torchattack's objects are such attacks."""

    def __call__(self, images: Tensor, labels: Tensor, /) -> Tensor:
        """Examples (B, C, H, W) for images in [0, 1] and their labels (B,), on the network's device."""
        ...


def climbed(logits: Tensor, labels: Tensor) -> Tensor:
    """The summed log-odds against the labels; a mean would shorten each gradient by the number of images.

    An example's gradient has the direction of its cross-entropy's, and an attack takes only that. But
    where the network is certain, cross-entropy loses the direction to rounding (on digits, at a median
    margin of 12 between logits, a quarter of the directions were off by 8° or more), L_2-PGD barely
    moves, and the network passes for robust.
    """
    return log_odds(logits, labels).sum()


def require_finite(tensor: Tensor, name: AttackName, what: str) -> None:
    """Checks what an attack of that name met.

    Raises:
        FloatingPointError: if some of it is not finite.
    """
    if not tensor.isfinite().all():
        raise FloatingPointError(f"{name} met {what} that are not finite")


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


def adapted(
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
        require_finite(gradient, name, "gradients")
        return followed(gradient)

    def watched(images: Tensor) -> Tensor:
        images = shown(images)
        images.register_hook(checked)  # type: ignore[no-untyped-call]
        return images

    attack.lossfn = climbed
    attack.normalize = watched
    made: Attack = attack
    return made
