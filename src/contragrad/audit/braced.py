"""Networks that lack what audits take for granted: input gradients, a weight, or an answer to every image."""

import torch
from torch import Tensor, nn

from contragrad.data.dataset import Examples, pixels
from contragrad.errors import UserError
from contragrad.legible import first_line
from contragrad.networks.inference import device_of
from contragrad.networks.randomness import isolated

FEW = 16
"""Images on which it is tried whether a network has input gradients."""


class Braced(nn.Module):
    """A network with what it lacks: a weight, which says on which device it is, and input gradients.

    Its answers are the network's own.

    Args:
        network: maps images (B, C, H, W) to logits (B, classes).
        blind: whether its answers cannot be differentiated by the images; then the gradient is zero.
    """

    def __init__(self, network: nn.Module, *, blind: bool) -> None:
        super().__init__()
        self.network = network
        self.blind = blind
        device = next((buffer.device for buffer in network.buffers()), None)
        self.place = nn.Parameter(torch.zeros((), device=device), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, classes)."""
        if not self.blind:
            logits: Tensor = self.network(images)
            return logits
        with torch.no_grad():
            answer: Tensor = self.network(images.detach())
        return answer + 0 * images.flatten(1).sum(1, keepdim=True)


class Unfailing(nn.Module):
    """A network of somebody else's code, whose answer is NaN where it fails.

    Args:
        network: maps images (B, C, H, W) to logits (B, classes).
        classes: how many.
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, classes)."""
        try:
            logits: Tensor = self.network(images)
        except Exception as error:  # a user's code may raise anything
            fault_of(error)
            return (torch.nan * images.flatten(1).sum(1, keepdim=True)).expand(-1, self.classes)
        return logits


def braced(network: nn.Module, examples: Examples) -> nn.Module:
    """The network itself if it has weights and input gradients, finite or not; braced if it has not.

    Args:
        network: maps images in [0, 1] to logits; put into evaluation mode.
        examples: images that it is made for.
    """
    seeing = _differentiable(network.eval(), pixels(examples.images[:FEW]))
    if seeing and any(True for _ in network.parameters()):
        return network
    return Braced(network, blind=not seeing).eval()


def is_blind(network: nn.Module) -> bool:
    """Whether the network's answers cannot be differentiated by the images."""
    return isinstance(network, Braced) and network.blind


@torch.enable_grad()
@isolated(0, "braced")  # a network may draw random numbers
def _differentiable(network: nn.Module, images: Tensor) -> bool:
    images = images.to(device_of(network)).clone().requires_grad_()
    logits = network(images)
    if not logits.requires_grad:
        return False
    try:
        (gradients,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    except Exception:  # a user's own derivative may raise anything
        return False
    return gradients is not None


def fault_of(error: Exception) -> str:
    """What is said of a network of somebody else's code that failed by this error.

    Raises:
        UserError, MemoryError: if that is what it is, for it says nothing of the network.
    """
    if isinstance(error, (UserError, MemoryError, torch.OutOfMemoryError)):
        raise error
    return f"the network failed: {type(error).__name__}: {first_line(error)}"
