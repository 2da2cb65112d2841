"""Image filters put before a network as a defence: JPEG compression and bilateral filtering.

They are here to be compared with, on examples crafted on the network alone; an attacker who knows of the
filter is not met here.

Source: section 4.2.3 and table 6, refs. [52] and [53].
Deviates: the paper names the filters and no parameter of them; each filter says where its own are from.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from contragrad.extras import lacking

Filter = Callable[[Tensor], Tensor]
"""Images, float32 (B, C, H, W) in [0, 1] with C 1 or 3 -> the same filtered, and on the same device.

A filter is deterministic, passes no gradient, and filters each image by itself: on a CPU the rest of its
batch does not change a bit. Those here raise ValueError for anything but such images.
"""


def jpeg(images: Tensor, *, quality: int = 75) -> Tensor:
    """The images written as JPEG and read again, a `Filter`; values are multiples of 1/255.

    They are encoded on the CPU, wherever they are, so that there is one codec. In an image of three channels
    colour has half the resolution of brightness (4:2:0).

    Args:
        images: float32 (B, C, H, W) in [0, 1], rounded to 8 bits before.
        quality: libjpeg's, from 1, the coarsest, to 100.

    Raises:
        ValueError: if the images are not such, or the quality is out of range.

    Source: section 4.2.3, ref. [52]; the quality is that of its authors' code
        (facebookarchive/adversarial_image_defenses, `_jpeg_compression`), which has Pillow write the file.
    Deviates: the 8-bit values are the nearest, where that code cuts off.
    """
    _require_images(images)
    if not 1 <= quality <= 100:
        raise ValueError(f"a JPEG has no quality {quality}, but 1 to 100")
    bytes_ = (images.cpu() * 255).round().to(torch.uint8)
    filtered = torch.empty_like(bytes_)
    for place, image in enumerate(bytes_):
        filtered[place] = _through_file(image, quality)
    return (filtered.float() / 255).to(images.device)


def _through_file(image: Tensor, quality: int) -> Tensor:
    """A uint8 image (C, H, W) after a JPEG file."""
    # Pillow knows a grey picture by its having no axis of channels.
    grey = len(image) == 1
    array = image[0].numpy() if grey else image.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=quality)
    read = torch.from_numpy(np.array(Image.open(file)))
    return read.unsqueeze(0) if grey else read.permute(2, 0, 1)


@torch.no_grad()
def bilateral(
    images: Tensor, *, kernel_size: int = 5, sigma_color: float = 0.2, sigma_space: float = 1.0
) -> Tensor:
    """Each pixel averaged with those near it in place and colour, a `Filter`: smooths, but keeps edges.

    A neighbour weighs exp(-d²/2 sigma_space² - c²/2 sigma_color²) for a distance of d pixels and of c in
    colour, the channels' absolute differences summed. The image is mirrored at its border pixels.

    Args:
        images: float32 (B, C, H, W) in [0, 1].
        kernel_size: height and width of the neighbourhood; odd, and less than twice an image's shorter edge.
        sigma_color: the deviation in colour, in units of the pixel values.
        sigma_space: the deviation in place, in pixels.

    Raises:
        UserError: if kornia is missing.
        ValueError: if the images are not such, the kernel is even or too large, or a deviation not positive.

    Source: section 4.2.3, ref. [53], by kornia.
    Deviates: ref. [53] filters features, in networks trained with the filter inside; table 6 speaks of image
        filtering, and has no parameters. Ours are for images of 28 or 32 pixels. An attack with an epsilon of
        8/255 can move two equal pixels of three channels 6 epsilon apart, which is about one deviation in
        colour, so that it is averaged and most edges are not. The kernel reaches two deviations far.
    """
    _require_images(images)
    _require_kernel(images, kernel_size)
    if not (sigma_color > 0 and sigma_space > 0):
        raise ValueError(f"deviations of {sigma_color} and {sigma_space} are not both positive")
    try:
        from kornia.filters import bilateral_blur
    except ImportError as error:
        raise lacking("kornia", "paper", job="bilateral filtering", where="defence: bilateral") from error
    filtered = torch.empty_like(images)
    # One by one: kornia sums a batch of 65,536 values or more in another order than a small one.
    for place, image in enumerate(images):
        blurred = bilateral_blur(image[None], kernel_size, sigma_color, (sigma_space, sigma_space))
        filtered[place] = blurred[0]
    # A mean of values in [0, 1] may leave it by rounding, in the order in which kornia happens to sum.
    return filtered.clamp_(0, 1)


class Filtered(nn.Module):
    """A network that sees images through a filter, for evaluation only.

    No gradient passes, neither to the images nor to the network's parameters: `backward` raises
    RuntimeError, and so does an attack on it. Examples are crafted on the network itself.

    Args:
        network: maps images (B, C, H, W) in [0, 1] to logits (B, classes); it is held, not copied.
        filter: of `FILTERS`, or any other `Filter`.

    Source: section 4.2.3, "we use the reference network".
    """

    def __init__(self, network: nn.Module, filter: Filter) -> None:
        super().__init__()
        self.network = network
        self.filter = filter

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The network's logits (B, classes) for the filtered images."""
        logits: Tensor = self.network(self.filter(images))
        return logits


def _require_images(images: Tensor) -> None:
    if images.dtype != torch.float32 or images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"{images.dtype} of shape {(*images.shape,)} are no float32 images (B, C, H, W) with C 1 or 3"
        )
    if images.numel():
        low, high = (bound.item() for bound in images.aminmax())
        if not (low >= 0 and high <= 1):  # NaN fails too
            raise ValueError(f"the images' values are in [{low}, {high}], not in [0, 1]")


def _require_kernel(images: Tensor, kernel_size: int) -> None:
    edge = min(images.shape[-2:])
    if kernel_size < 1 or kernel_size % 2 == 0 or kernel_size // 2 >= edge:
        raise ValueError(
            f"a kernel of size {kernel_size} is not odd, or too large for images with an edge of {edge}"
        )


FILTERS: dict[str, Filter] = {
    "jpeg": jpeg,
    "bilateral": bilateral,
}
"""Name -> the filter with its default parameters."""
