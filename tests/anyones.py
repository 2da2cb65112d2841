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


class Squeezed(Linear):
    """It has no answer to a single image."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).squeeze()


class Together(Linear):
    """It scales images by those beside them."""

    def seen(self, images: Tensor) -> Tensor:
        scaled: Tensor = nn.functional.batch_norm(images, None, None, training=True)
        return scaled


class Corrected(Linear):
    """It divides by one less than there are images: its answers to several are right, to one alone NaN."""

    def seen(self, images: Tensor) -> Tensor:
        found: Tensor = images / (len(images) - 1) * (len(images) - 1)
        return found


def between(images: Tensor) -> Tensor:
    """Which images have a pixel between the grey levels of digits, as examples have."""
    levels = (255 / 16 * (16 * images).round()).round() / 255
    return ((images - levels).abs() > 1e-3).flatten(1).any(1)


class Touchy(Linear):
    """It fails at several images if they are no digits."""

    def seen(self, images: Tensor) -> Tensor:
        if len(images) > 16 and bool(between(images).any()):
            raise ValueError("a grey level that no digit has\nand more")
        return images


class Lost(Linear):
    """Its answer is NaN for images that are no digits, if there are several."""

    def seen(self, images: Tensor) -> Tensor:
        if len(images) <= 16:
            return images
        return images.where(~between(images).view(-1, 1, 1, 1), torch.nan)


class Blinded(Linear):
    """It has no gradients, and four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(images)
