"""Attacks that see a network's answers and no gradient."""

from fractions import Fraction

import torch
from torch import Tensor, nn

from contragrad.attacks import POSITIONS
from contragrad.data.dataset import pixels
from contragrad.errors import UserError
from contragrad.networks.randomness import isolated


@torch.no_grad()
def square(
    network: nn.Module, images: Tensor, labels: Tensor, epsilon: Fraction, queries: int, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Square Attack in the L_inf ball: random squares, kept where they lower the network's margin.

    Args:
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes), in evaluation mode.
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,).
        epsilon: radius of the ball.
        queries: answers that it may ask for, for each image.
        seed: names what is drawn.

    Returns:
        The examples, float32 (N, C, H, W) on the CPU, and for each the answers it took, (N,): 0 for images
        that are misclassified as they are, which stay.

    Raises:
        UserError: if pyautoattack is missing.

    Source: Andriushchenko et al., "Square Attack", ECCV 2020, by pyautoattack, the code of its authors.
    """
    try:
        from pyautoattack.square import SquareAttack
    except ImportError as error:
        raise UserError(
            "the query attack needs pyautoattack", where="audit", remedy="pip install 'contragrad[audit]'"
        ) from error
    device = next(network.parameters()).device
    network.eval()
    examples, used = pixels(images).cpu().clone(), torch.zeros(len(images))
    for number, start in enumerate(range(0, len(images), size := _batch(images))):
        batch = torch.arange(start, min(start + size, len(images)))
        clean, own = pixels(images[batch]).to(device), labels[batch].to(device)
        right = network(clean).argmax(1) == own
        if not right.any():
            continue
        attack = SquareAttack(
            network, eps=float(epsilon), n_queries=queries, resc_schedule=False, device=device
        )
        with isolated(seed, "square", number):
            attack.init_hyperparam(clean)
            asked, crafted = attack.attack_single_run(clean[right], own[right])
        chosen = batch[right.cpu()]
        examples[chosen] = crafted.cpu()
        used[chosen] = asked.cpu()
    return examples, used


def _batch(images: Tensor) -> int:
    return max(1, 4 * POSITIONS // images.shape[-2:].numel())
