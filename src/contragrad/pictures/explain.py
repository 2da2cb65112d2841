"""Where networks look: integrated gradients, how far two networks' maps lie apart, and figure 3.

Source: section 4.1.1, figure 3; ref. [43].
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from contragrad.attacks.examples import POSITIONS, frozen
from contragrad.data.dataset import pixels
from contragrad.extras import lacking
from contragrad.networks.inference import device_of
from contragrad.pictures.picture_file import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 1.7
"""Width of a panel in inches."""

STEPS = 50
"""Gradients that an integral is made of."""

DISTANCE = "the sum over pixels of the absolute differences of the two maps' shares, in [0, 2]"
"""What `pixel_distance` is, for people."""

LONGEST_LINE = 20
"""Characters of a network's name that fit above a panel."""


def integrated_gradients(network: nn.Module, images: Tensor, labels: Tensor, steps: int = STEPS) -> Tensor:
    """How much each pixel adds to the logit of the image's label, from black to the image.

    The network is asked in evaluation mode; it, its gradients and the global random state are
    afterwards as they were. An image's attributions add up to its logit less a black image's, up to
    the error of the integration.

    Args:
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes).
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,) class numbers.
        steps: gradients that the integral is made of, by Gauss-Legendre quadrature.

    Returns:
        float32 (N, C, H, W) on the CPU.

    Raises:
        UserError: if captum is missing.
        ValueError: if images and labels differ in number, or if there are no steps.
        FloatingPointError: if an attribution is not finite, as a diverged network's are.

    Source: ref. [43], by captum.
    Deviates: the paper names neither the output, the baseline nor the steps. The logit is what the
        network itself computes; a softmax score hardly changes where the network is certain, and its
        gradients are lost to rounding there.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise lacking("captum", "paper", job="an attribution map", where="integrated gradients") from error
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images have {len(labels)} labels")
    if steps < 1:
        raise ValueError(f"an integral of {steps} steps")
    device = device_of(network)
    size = max(1, POSITIONS // images.shape[-2:].numel())
    found = torch.empty(images.shape, dtype=torch.float32)
    with frozen(network):
        method = IntegratedGradients(network)
        for start in range(0, len(images), size):
            batch = slice(start, start + size)
            found[batch] = method.attribute(
                pixels(images[batch]).detach().to(device),
                target=labels[batch].to(device),
                n_steps=steps,
                internal_batch_size=size,
            )
    if not found.isfinite().all():
        raise FloatingPointError("integrated gradients are not finite: is the network NaN?")
    return found


def relative(attributions: Tensor) -> Tensor:
    """Maps (N, H, W) in [-1, 1]: summed over channels, each by its own largest absolute value.

    A map that is zero stays zero.

    Args:
        attributions: finite, (N, C, H, W).

    Source: figure 3, "relative values ranging in [-1, 1]".
    Deviates: the paper does not say what they are relative to.
    """
    # In float64 the sum of finite float32 values is finite.
    maps = attributions.double().sum(1)
    largest = maps.abs().amax((1, 2), keepdim=True)
    return (maps / torch.where(largest == 0, 1.0, largest)).float()


def pixel_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """How far two networks' maps of each image lie apart: the sum over pixels of |a - b|.

    a and b are the pixels' shares of their map: its values divided by the sum of their absolute values.

    Args:
        ours: maps (N, H, W), relative or of any other scale.
        theirs: maps of the same images.

    Returns:
        float64 (N,) in [0, 2]; 0 where the maps differ by a positive factor, 2 where no pixel has the
        same sign in both. A map that is zero has no shares and is 1 from any other.

    Raises:
        ValueError: if the shapes differ.

    Source: section 4.1.1, "total pixel distance".
    Deviates: the paper gives no formula, only 1.297 and 0.687. They are no sum over relative maps: 0.687
        would be 0.0007 for each of CIFAR-10's pixels, a difference that nobody sees; on networks trained
        here it is 70 to 180. Nor a mean: 1.297 would take most pixels at opposite ends; here it is 0.1
        to 0.2, and it falls as one bright pixel makes the rest of its map pale. Shares have neither fault.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"maps {tuple(ours.shape)} and {tuple(theirs.shape)} are of different shapes")
    return (_shares(ours) - _shares(theirs)).abs().sum((1, 2))


def _shares(maps: Tensor) -> Tensor:
    maps = maps.double()
    total = maps.abs().sum((1, 2), keepdim=True)
    return maps / torch.where(total == 0, 1.0, total)


def figure(
    images: Tensor,
    maps: Sequence[Tensor],
    names: Sequence[str],
    path: Path,
    notes: Sequence[str] = (),
) -> None:
    """Writes a picture with a row for each image: the image, then each network's map.

    Negative is red and positive green, as in the paper. Above each map but the first network's stands
    its distance to the first network's, and below the picture what that is.

    Args:
        images: a few, (N, C, H, W) with C 1 or 3, uint8 or float32 in [0, 1].
        maps: each network's relative maps (N, H, W).
        names: the networks', in the same order.
        path: ends in `.png` or `.svg`.
        notes: a line for each network, below its name; none has any if there are none.

    Raises:
        UserError: if matplotlib is missing or the file cannot be written.
        ValueError: if there is nothing to show, the shapes do not belong together or a map leaves [-1, 1].

    Source: figure 3.
    """
    notes = notes or [""] * len(maps)
    _require_shown(images, maps, names, notes)
    distances = [pixel_distance(theirs, maps[0]) for theirs in maps]
    with picture(path) as drawing:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        colours = LinearSegmentedColormap.from_list("red-white-green", ["red", "white", "green"])
        norm = Normalize(-1, 1)
        drawing.set_layout_engine("compressed")
        tall = PANEL * images.shape[-2] / images.shape[-1]
        drawing.set_size_inches(PANEL * (len(maps) + 1) + 1, (tall + 0.25) * len(images) + 0.2)
        panels = drawing.subplots(len(images), len(maps) + 1, squeeze=False)
        for row, image in enumerate(pixels(images).detach().cpu()):
            panels[row, 0].imshow(image.permute(1, 2, 0).squeeze(2).numpy(), "gray", vmin=0, vmax=1)
            for column, (theirs, name, note) in enumerate(zip(maps, names, notes, strict=True), start=1):
                panel: Axes = panels[row, column]
                panel.imshow(theirs[row].detach().cpu().numpy(), colours, norm)
                lines = [fill(name, LONGEST_LINE), note] if row == 0 else []
                if column > 1:
                    lines.append(f"distance {distances[column - 1][row]:.3f}")
                panel.set_title("\n".join(filter(None, lines)), fontsize=9, parse_math=False)
        for panel in panels.flat:
            panel.set(xticks=[], yticks=[])
        scale = ScalarMappable(norm, colours)
        if len(maps) > 1:
            drawing.supxlabel(f"distance: {DISTANCE}", fontsize=8)
        drawing.colorbar(scale, ax=panels, aspect=30, label="relative attribution", ticks=[-1, 0, 1])


def _require_shown(
    images: Tensor, maps: Sequence[Tensor], names: Sequence[str], notes: Sequence[str]
) -> None:
    if not len(images) or not maps or not len(maps) == len(names) == len(notes):
        counts = f"{len(maps)} sets of maps, {len(names)} names and {len(notes)} notes"
        raise ValueError(f"{len(images)} images, {counts}")
    for theirs, name in zip(maps, names, strict=True):
        if theirs.shape != (len(images), *images.shape[-2:]):
            raise ValueError(f"maps {tuple(theirs.shape)} of {name} for images {tuple(images.shape)}")
        if not (theirs.abs() <= 1).all():  # NaN fails too
            raise ValueError(f"the maps of {name} leave [-1, 1]: they are not relative")
