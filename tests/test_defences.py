"""Filters before a network: against other implementations, by hand, and image by image."""

import sys
import warnings
from math import exp

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import features
from torch import Tensor, nn
from torchvision.io import decode_jpeg, encode_jpeg

from contragrad.defences import FILTERS, Filtered, bilateral, jpeg
from contragrad.errors import UserError

every_filter = pytest.mark.parametrize("name", FILTERS)
every_depth = pytest.mark.parametrize("channels", [1, 3])


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def waves(count: int, channels: int, size: int) -> Tensor:
    """Smooth images: a slow wave across each, another in each channel."""
    axis = torch.linspace(0, 3, size)
    phase = torch.arange(count * channels).reshape(count, channels, 1, 1)
    return 0.5 + 0.4 * torch.sin(axis[:, None] + 0.5 * axis + phase)


def by_torchvision(image: Tensor, quality: int) -> Tensor:
    """A float image (C, H, W) as torchvision writes and reads it."""
    read: Tensor = decode_jpeg(encode_jpeg((image * 255).round().to(torch.uint8), quality))
    return read.float() / 255


def by_loop(image: Tensor, kernel_size: int, sigma_color: float, sigma_space: float) -> Tensor:
    """The bilateral filter of an image (C, H, W), pixel by pixel in float64."""
    pixels = image.double().numpy()
    _, height, width = pixels.shape
    reach = kernel_size // 2
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    filtered = np.empty_like(pixels)
    for y, x in np.ndindex(height, width):
        total, weights = np.zeros(len(pixels)), 0.0
        for dy, dx in np.ndindex(kernel_size, kernel_size):
            neighbour = padded[:, y + dy, x + dx]
            distance = (dy - reach) ** 2 + (dx - reach) ** 2
            colour = np.abs(neighbour - pixels[:, y, x]).sum()
            weight = exp(-distance / (2 * sigma_space**2) - colour**2 / (2 * sigma_color**2))
            total += weight * neighbour
            weights += weight
        filtered[:, y, x] = total / weights
    return torch.from_numpy(filtered)


@every_filter
@every_depth
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (17, 30)])
def test_images_stay_images(name: str, channels: int, size: tuple[int, int]) -> None:
    images = random_images(5, channels, *size)
    before = images.clone()
    filtered = FILTERS[name](images)
    assert filtered.shape == images.shape
    assert filtered.dtype == images.dtype
    assert filtered.device == images.device
    assert filtered.min() >= 0
    assert filtered.max() <= 1
    assert not torch.equal(filtered, images)
    assert torch.equal(images, before)


@every_filter
@every_depth
def test_an_image_does_not_depend_on_its_batch(name: str, channels: int) -> None:
    # kornia goes another way from 65,536 values on.
    images = random_images(70, channels, 32, 32)
    filtered = FILTERS[name](images)
    assert torch.equal(filtered, FILTERS[name](images))
    assert torch.equal(filtered, torch.cat([FILTERS[name](image[None]) for image in images]))
    assert torch.equal(filtered.flip(0), FILTERS[name](images.flip(0)))


@every_filter
@every_depth
def test_how_the_images_lie_in_memory_does_not_matter(name: str, channels: int) -> None:
    images = random_images(3, channels, 28, 28)
    side_by_side = images.to(memory_format=torch.channels_last)
    torch.testing.assert_close(FILTERS[name](side_by_side), FILTERS[name](images), rtol=0, atol=1e-6)
    same = images[:1].expand(3, -1, -1, -1)
    assert torch.equal(FILTERS[name](same), FILTERS[name](images[:1]).expand(3, -1, -1, -1))


@every_filter
@every_depth
def test_no_images_are_filtered(name: str, channels: int) -> None:
    assert FILTERS[name](torch.empty(0, channels, 28, 28)).shape == (0, channels, 28, 28)


@every_filter
@every_depth
def test_the_global_state_is_left_alone(name: str, channels: int) -> None:
    random_state, filters = torch.get_rng_state(), list(warnings.filters)
    FILTERS[name](random_images(2, channels, 8, 8))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert list(warnings.filters) == filters


@every_filter
@settings(max_examples=25)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), channels=st.sampled_from([1, 3]))
def test_a_constant_image_stays_as_it_is(name: str, values: list[float], channels: int) -> None:
    colour = torch.tensor(values[:channels]).reshape(1, channels, 1, 1)
    images = colour.expand(1, channels, 28, 28)
    # A grey JPEG rounds to 8 bits only: its brightness comes in steps of one. Colours come in steps of 9/8,
    # and are rounded once more before; blue has 1.772 times that error, and the brightness' beside it.
    rounding = {"jpeg": 0.5001 / 255 if channels == 1 else 4 / 255, "bilateral": 1e-6}[name]
    torch.testing.assert_close(FILTERS[name](images), images, rtol=0, atol=rounding)


@every_filter
@every_depth
@pytest.mark.parametrize("size", [28, 32])
def test_a_smooth_image_stays_close(name: str, channels: int, size: int) -> None:
    grey = waves(4, 1, size)
    images = grey.expand(-1, channels, -1, -1)
    assert (FILTERS[name](images) - images).abs().mean() < 0.01


@every_filter
@every_depth
def test_noise_is_taken_from_a_smooth_image(name: str, channels: int) -> None:
    clean = waves(4, 1, 32).expand(-1, channels, -1, -1)
    noisy = clean + 8 / 255 * (2 * random_images(4, channels, 32, 32).round() - 1)
    before, after = (noisy - clean).square().mean(), (FILTERS[name](noisy) - clean).square().mean()
    assert after < 0.8 * before


@every_depth
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (28, 28), (32, 32), (17, 30)])
@pytest.mark.parametrize("quality", [1, 50, 75, 100])
@pytest.mark.filterwarnings("ignore:.*capabilities of TorchVision are")
def test_jpeg_is_torchvisions(channels: int, size: tuple[int, int], quality: int) -> None:
    images = random_images(3, channels, *size)
    expected = torch.stack([by_torchvision(image, quality) for image in images])
    filtered = jpeg(images, quality=quality)
    if features.check("libjpeg_turbo"):  # as in torchvision's wheels; another library may round otherwise
        assert torch.equal(filtered, expected)
    else:
        assert (filtered - expected).abs().mean() < 0.01


@every_depth
def test_quality_75_is_the_default(channels: int) -> None:
    images = random_images(2, channels, 32, 32)
    assert torch.equal(jpeg(images), jpeg(images, quality=75))


@every_depth
def test_a_jpeg_of_less_quality_is_further_away(channels: int) -> None:
    images = random_images(4, channels, 32, 32)
    errors = [(jpeg(images, quality=quality) - images).square().mean() for quality in (100, 75, 30, 1)]
    assert errors == sorted(errors)


def test_a_jpeg_has_8_bits() -> None:
    values = jpeg(random_images(2, 3, 32, 32)) * 255
    torch.testing.assert_close(values, values.round(), rtol=0, atol=1e-4)
    # 0.6 of a step rounds up; cut off, it would be gone.
    images = torch.full((1, 1, 8, 8), 100.6 / 255)
    assert torch.equal(jpeg(images, quality=100), torch.full((1, 1, 8, 8), 101 / 255))


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    channels=st.sampled_from([1, 3]),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    sigma_color=st.floats(0.02, 2),
    sigma_space=st.floats(0.3, 5),
    size=st.tuples(st.integers(4, 8), st.integers(4, 8)),
)
def test_bilateral_is_the_loop(
    seed: int,
    channels: int,
    kernel_size: int,
    sigma_color: float,
    sigma_space: float,
    size: tuple[int, int],
) -> None:
    images = random_images(1, channels, *size, seed=seed)
    parameters = {"sigma_color": sigma_color, "sigma_space": sigma_space}
    expected = by_loop(images[0], kernel_size, **parameters)
    filtered = bilateral(images, kernel_size=kernel_size, **parameters)[0]
    torch.testing.assert_close(filtered.double(), expected, rtol=0, atol=2e-6)


@every_depth
def test_bilateral_is_the_loop_at_its_defaults(channels: int) -> None:
    images = waves(2, channels, 16) + 0.05 * random_images(2, channels, 16, 16)
    expected = torch.stack([by_loop(image, 5, 0.2, 1.0) for image in images])
    torch.testing.assert_close(bilateral(images).double(), expected, rtol=0, atol=2e-6)


def test_bilateral_by_hand() -> None:
    # Beside an edge of 1, in a kernel of three, with deviations that make both weights powers of e.
    images = torch.tensor([0.0, 0, 0, 1, 1, 1]).expand(1, 1, 6, 6)
    filtered = bilateral(images, kernel_size=3, sigma_color=0.5, sigma_space=0.5)
    same, near, across = 1.0, exp(-2), exp(-4)  # the column itself, a column of equals, one beyond the edge
    expected = across / (same + near + across)
    torch.testing.assert_close(filtered[0, 0, 3], torch.tensor([0, 0, expected, 1 - expected, 1, 1]))


@every_depth
def test_bilateral_keeps_edges_and_a_kernel_of_one_keeps_all(channels: int) -> None:
    edge = (torch.arange(32) >= 16).float().expand(1, channels, 32, 32)
    torch.testing.assert_close(bilateral(edge), edge, rtol=0, atol=1e-5)
    images = random_images(2, channels, 8, 8)
    torch.testing.assert_close(bilateral(images, kernel_size=1), images, rtol=0, atol=1e-7)


def test_a_mean_that_rounding_puts_outside_the_range_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kornia.filters.bilateral_blur", lambda image, *_: 1.000001 * image - 0.0000005)
    images = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 8, 8)
    filtered = bilateral(images)
    assert filtered.min() == 0
    assert filtered.max() == 1


@every_filter
@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 1, 8, 8, dtype=torch.float64),
        torch.zeros(1, 8, 8),
        torch.zeros(2, 2, 8, 8),
    ],
    ids=lambda images: f"{images.dtype}-{images.dim()}-{images.shape[1]}",
)
def test_other_tensors_are_no_images(name: str, images: Tensor) -> None:
    with pytest.raises(ValueError, match="are no float32 images"):
        FILTERS[name](images)


@every_filter
@pytest.mark.parametrize("wrong", [1.0001, -0.0001, float("nan"), float("inf")])
def test_values_outside_the_range_are_refused(name: str, wrong: float) -> None:
    images = torch.full((2, 1, 8, 8), 0.5)
    images[1, 0, 7, 7] = wrong
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        FILTERS[name](images)


@pytest.mark.parametrize("quality", [0, -1, 101])
def test_a_quality_that_is_none_is_refused(quality: int) -> None:
    with pytest.raises(ValueError, match=f"no quality {quality}"):
        jpeg(torch.zeros(1, 1, 8, 8), quality=quality)


@pytest.mark.parametrize("kernel_size", [-1, 0, 4, 17])
def test_a_kernel_that_is_even_or_too_large_is_refused(kernel_size: int) -> None:
    with pytest.raises(ValueError, match=f"kernel of size {kernel_size}"):
        bilateral(torch.zeros(1, 1, 8, 12), kernel_size=kernel_size)


@pytest.mark.parametrize("name", ["sigma_color", "sigma_space"])
@pytest.mark.parametrize("sigma", [0, -1, float("nan")])
def test_a_deviation_that_is_not_positive_is_refused(name: str, sigma: float) -> None:
    parameters = {"sigma_color": 1.0, "sigma_space": 1.0, name: sigma}
    with pytest.raises(ValueError, match="not both positive"):
        bilateral(
            torch.zeros(1, 1, 8, 8),
            sigma_color=parameters["sigma_color"],
            sigma_space=parameters["sigma_space"],
        )


def test_without_kornia_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.filters", None)
    with pytest.raises(UserError) as caught:
        bilateral(torch.zeros(1, 1, 8, 8))
    assert "kornia" in caught.value.what
    assert caught.value.remedy == "pip install 'contragrad[paper]'"
    assert isinstance(caught.value.__cause__, ImportError)


@every_filter
@every_depth
def test_a_filtered_network_sees_filtered_images(name: str, channels: int) -> None:
    with torch.random.fork_rng():
        network = nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, 3))
    images = random_images(4, channels, 8, 8)
    filtered = Filtered(network, FILTERS[name])
    assert torch.equal(filtered(images), network(FILTERS[name](images)))
    assert not torch.equal(filtered(images), network(images))


@every_filter
@every_depth
def test_no_gradient_passes(name: str, channels: int) -> None:
    images = random_images(2, channels, 8, 8).requires_grad_()
    assert not FILTERS[name](images).requires_grad
    with torch.random.fork_rng():
        network = nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, 3))
    with pytest.raises(RuntimeError, match="does not require grad"):
        Filtered(network, FILTERS[name])(images).sum().backward()


def test_a_filtered_network_is_a_module() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout())
    filtered = Filtered(network, jpeg)
    assert filtered.eval().network is network
    assert not network[1].training
