"""What everything in an audit begins with: answers and gradients of the reference, answers of the target."""

from collections.abc import Mapping

from torch import nn

from contragrad.audit.attackers import REFERENCE, TARGET
from contragrad.audit.attempts import Named
from contragrad.audit.braced import FEW, fault_of
from contragrad.audit.input_gradients import gradients
from contragrad.data.dataset import Examples, pixels
from contragrad.errors import UserError
from contragrad.networks.inference import device_of, fault_alone


def require_answers(networks: Mapping[str, Named], examples: Examples) -> None:
    """Tries those that everything asks, if they are somebody else's code, on the images as they are.

    Raises:
        UserError: if the reference or the target fails.
    """
    for name in (REFERENCE, TARGET):
        found = networks[name]
        if not found.foreign:
            continue
        images = pixels(examples.images)
        try:
            fault = fault_alone(found.network, images[:FEW].to(device_of(found.network)))
            if fault is None:
                gradients(found.network, images, examples.labels)
        except Exception as error:  # a user's code may raise anything
            fault = fault_of(error)
        if fault is not None:
            raise UserError(
                f"it cannot be asked about the audited images: {fault}",
                where=name,
                remedy="a network that gives every image, by itself, its logits, and has its derivative",
            )


def require_gradients(reference: nn.Module, examples: Examples) -> None:
    """Tries what everything is crafted by.

    Raises:
        UserError: if the reference's input gradients are not finite.
    """
    found = gradients(reference, pixels(examples.images), examples.labels)
    if broken := int((~found.flatten(1).isfinite()).any(1).sum()):
        raise UserError(
            f"its input gradients are not finite at {broken} of {len(found)} audited images",
            where="the reference",
            remedy="preprocessing that has a derivative everywhere, such as a root of a number above 0",
        )
