"""Whether what was written answers as the network does."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contragrad.errors import UserError

IMAGES = 512
BATCH = 64

TOLERANCE = 1e-4
"""How far a logit may be from the network's, in units of the largest: what other kernels round otherwise."""

Answers = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How what was written compares with the network.

    Args:
        images: how many were compared.
        difference: the greatest difference of a logit.
        largest: the network's largest logit, either way.
        equal: share of images that both give the same class.
    """

    images: int
    difference: float
    largest: float
    equal: float

    def __str__(self) -> str:
        return (
            f"on {self.images:,} images, logits differ by at most {self.difference:.1e} (the largest is "
            f"{self.largest:.3g}), {100 * self.equal:g} % of the answers are equal"
        )


@torch.no_grad()
def compared(network: Answers, written: Answers, images: Tensor) -> Agreement:
    """Asks both about the images (N, C, H, W) in [0, 1]: the first alone, then a batch at a time."""
    batches = [images[:1], *(torch.split(images[1:], BATCH) if len(images) > 1 else ())]
    expected, found = (torch.cat([each(batch) for batch in batches]) for each in (network, written))
    return Agreement(
        images=len(images),
        difference=float((found - expected).abs().max()),
        largest=float(expected.abs().max()),
        equal=float((found.argmax(1) == expected.argmax(1)).float().mean()),
    )


def require_agreement(agreement: Agreement, where: str) -> None:
    """Refuses what does not answer as the network does.

    Raises:
        UserError: if a logit differs by more than rounding.
    """
    # Not a number compares as unequal.
    if not agreement.difference <= TOLERANCE * agreement.largest:
        raise UserError(
            f"what was written is not the network: {agreement}; it is removed",
            where=where,
            remedy=f"another format; at most {TOLERANCE:g} of the largest logit counts as rounding",
        )
