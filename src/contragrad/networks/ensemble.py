"""Several networks that answer as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Several networks as one: the mean of their log-probabilities.

    Source: Liu et al., "Delving into transferable adversarial examples and black-box attacks", ICLR 2017.
    Deviates: theirs adds probabilities; log-probabilities keep a network that is certain from hiding others.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> log-probabilities (B, classes)."""
        return torch.stack([network(images).log_softmax(1) for network in self.networks]).mean(0)
