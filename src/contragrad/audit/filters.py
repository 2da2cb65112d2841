"""Image filters before the reference, a cheap defence, under attackers who know of them and who do not."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from contragrad.attacks.examples import craft
from contragrad.data.dataset import Examples, pixels
from contragrad.defences import FILTERS, Filter, Filtered
from contragrad.evaluate import Share
from contragrad.networks.inference import predict
from contragrad.settings.config import AttackSettings


class Behind(NamedTuple):
    """Of the images that a filtered network classifies correctly, those that fool it.

    Args:
        unaware: crafted on the network alone.
        aware: crafted through the filter.
    """

    unaware: Share
    aware: Share


class PassedThrough(nn.Module):
    """A network behind a filter whose derivative is taken for that of doing nothing (BPDA).

    Source: Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security", ICML 2018,
        section 4.1.
    """

    def __init__(self, network: nn.Module, filter: Filter) -> None:
        super().__init__()
        self.network = network
        self.filter = filter

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> the network's logits (B, classes) for the filtered images."""
        filtered = self.filter(images.detach().clamp(0, 1))
        logits: Tensor = self.network(images + (filtered - images).detach())
        return logits


def filtered(
    reference: nn.Module, examples: Examples, attack: AttackSettings, *, seed: int
) -> Mapping[str, Behind]:
    """What the reference behind each filter is worth.

    Args:
        reference: maps images in [0, 1] to logits.
        examples: N images; filters are for those of 1 or 3 channels, and of others there is nothing to say.
        attack: by which examples are crafted.
        seed: names what is drawn.
    """
    images, labels = pixels(examples.images), examples.labels
    if images.shape[1] not in (1, 3):
        return {}
    unaware = craft(reference, images, labels, attack, seed=seed)
    found = {}
    for name, each in FILTERS.items():
        network = Filtered(reference, each)
        aware = craft(PassedThrough(reference, each), images, labels, attack, seed=seed)
        right, first, second = (predict(network, shown) == labels.cpu() for shown in (images, unaware, aware))
        found[name] = Behind(Share.of(~first, right), Share.of(~second, right))
    return found
