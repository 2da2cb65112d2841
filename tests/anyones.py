"""Factories of networks as anyone may have them, for digits; those of `Linear` share their weights."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """A linear network behind a preprocessing."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def seen(self, images: Tensor) -> Tensor:
        return images

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.seen(images).flatten(1))
        return logits


class Rooted(Linear):
    """Its gradient is infinite at black pixels."""

    def seen(self, images: Tensor) -> Tensor:
        return images.sqrt()


class Cut(Linear):
    """Its preprocessing is done outside of torch, as JPEG by Pillow is; its weights can be trained."""

    def seen(self, images: Tensor) -> Tensor:
        return (images.detach() * 8).round() / 8


class Unlucky(Linear):
    """It fails at images with black pixels."""

    def seen(self, images: Tensor) -> Tensor:
        if len(images) > 2 and bool((images == 0).any()):
            raise ZeroDivisionError("black\nand more")
        return images


class Logarithmic(Linear):
    """Its answers are NaN at images with white and black pixels."""

    def seen(self, images: Tensor) -> Tensor:
        return images * images.log()


class Derived(torch.autograd.Function):
    """Rounding whose author forgot the derivative."""

    @staticmethod
    def forward(images: Tensor) -> Tensor:
        return images.round()

    @staticmethod
    def setup_context(ctx: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass


class Underived(Linear):
    """Its derivative is not implemented."""

    def seen(self, images: Tensor) -> Tensor:
        rounded: Tensor = Derived.apply(images)
        return rounded


class Buffered(nn.Module):
    """It has no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(64, 10))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.get_buffer("weights")


class Random(Linear):
    """It sees noisy images."""

    def seen(self, images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn_like(images)


def frozen() -> nn.Module:
    """As `Cut`, its weights frozen."""
    return Cut().requires_grad_(False)
