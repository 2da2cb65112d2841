"""Integrated gradients, the distance between maps, and figure 3."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.data.dataset import pixels
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem
from contragrad.networks.network import Normalisation, build
from contragrad.pictures import explain
from contragrad.pictures.explain import DISTANCE, figure, integrated_gradients, pixel_distance, relative
from contragrad.reproduce.figure3 import FORMULA

GENOME = parse("conv(4,3) strided(8,3) sum(1,2) pool(max,2) fc(8)")
SMALL = Problem(3, 12, 12, 4)
LABELS = torch.tensor([0, 3, 1, 2, 3])

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class Linear(nn.Module):
    """A linear classifier with weights (classes, values)."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights.T + 7


def an_evolved_network() -> nn.Module:
    return build(GENOME, SMALL, Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.2)), seed=0).eval()


def some_images(count: int = 5) -> Tensor:
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def arrays_of_maps(low: float, high: float) -> st.SearchStrategy[Tensor]:
    elements = st.sampled_from([0.0, low, high]) | st.floats(low, high, width=32)
    return arrays(np.float32, (2, 3, 4), elements=elements).map(torch.from_numpy)


def test_a_linear_network_has_weight_times_pixel() -> None:
    weights = torch.randn(4, 3 * 12 * 12, generator=torch.Generator().manual_seed(0))
    images = some_images()
    expected = weights[LABELS].reshape(images.shape) * images
    found = integrated_gradients(Linear(weights), images, LABELS, steps=3)
    assert (found.dtype, found.device.type, found.requires_grad) == (torch.float32, "cpu", False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_attributions_add_up_to_the_logits_change() -> None:
    network, images = an_evolved_network(), some_images()
    with torch.no_grad():
        change = (network(images) - network(torch.zeros_like(images))).gather(1, LABELS.unsqueeze(1))
    rough, fine = (
        (integrated_gradients(network, images, LABELS, steps).sum((1, 2, 3)) - change.squeeze(1)).abs().max()
        for steps in (3, 200)
    )
    assert fine < rough / 4
    assert fine < 0.02 * change.abs().max()


def test_a_black_image_has_none() -> None:
    found = integrated_gradients(an_evolved_network(), torch.zeros(2, 3, 12, 12), LABELS[:2])
    assert not found.any()


def test_the_label_decides() -> None:
    network, images = an_evolved_network(), some_images()
    found = integrated_gradients(network, images, LABELS)
    for place in range(5):
        alone = integrated_gradients(network, images[place : place + 1], LABELS[place : place + 1])
        torch.testing.assert_close(found[place : place + 1], alone, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found, integrated_gradients(network, images, (LABELS + 1) % 4), atol=1e-3)


def test_uint8_and_float_images_are_the_same_images() -> None:
    images = (some_images() * 255).to(torch.uint8)
    network = an_evolved_network()
    found = integrated_gradients(network, images, LABELS)
    assert torch.equal(found, integrated_gradients(network, pixels(images), LABELS))


def test_batches_bound_the_memory_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(an_evolved_network())
    sizes: set[int] = set()
    network.register_forward_pre_hook(lambda _, inputs: sizes.add(len(inputs[0])))
    whole = integrated_gradients(network, some_images(), LABELS, steps=10)
    for images, most in ((2.5, 2), (0.1, 1)):
        sizes.clear()
        monkeypatch.setattr(explain, "POSITIONS", int(images * 144))
        found = integrated_gradients(network, some_images(), LABELS, steps=10)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)
        assert max(sizes) == most


def test_one_image_takes_several_steps_at_once() -> None:
    network = nn.Sequential(an_evolved_network())
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    integrated_gradients(network, some_images(1), LABELS[:1], steps=10)
    assert sizes == [10]


def test_no_images_have_no_attributions() -> None:
    none = torch.empty(0, 3, 12, 12)
    assert integrated_gradients(an_evolved_network(), none, LABELS[:0]).shape == none.shape


@pytest.mark.parametrize("raises", [False, True])
def test_the_network_and_the_random_states_are_left_as_they_were(raises: bool) -> None:
    def interrupt(*_: object) -> None:
        assert not any(module.training for module in network.modules())
        if raises:
            raise KeyboardInterrupt

    network = an_evolved_network().train()
    next(network.children()).eval()
    next(network.parameters()).requires_grad_(False)
    F.cross_entropy(network(some_images()), LABELS).backward()  # type: ignore[no-untyped-call]
    modes = [module.training for module in network.modules()]
    flags = [parameter.requires_grad for parameter in network.parameters()]
    gradients = [parameter.grad for parameter in network.parameters()]
    values = [None if gradient is None else gradient.clone() for gradient in gradients]
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]

    network.register_forward_hook(interrupt)
    images = some_images().requires_grad_()
    if raises:
        with pytest.raises(KeyboardInterrupt):
            integrated_gradients(network, images, LABELS)
    else:
        with torch.no_grad():
            integrated_gradients(network, images, LABELS)

    assert images.grad is None
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == flags
    assert len(set(modes)) == len(set(flags)) == 2
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # type: ignore[index]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    for parameter, gradient, value in zip(network.parameters(), gradients, values, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or (value is not None and torch.equal(gradient, value))


def test_what_cannot_be_explained_is_refused() -> None:
    network, images = an_evolved_network(), some_images()
    with pytest.raises(ValueError, match="5 images have 4 labels"):
        integrated_gradients(network, images, LABELS[:4])
    with pytest.raises(ValueError, match="0 steps"):
        integrated_gradients(network, images, LABELS, steps=0)
    with pytest.raises(FloatingPointError, match="not finite"):
        integrated_gradients(Linear(torch.full((4, 432), float("nan"))), images, LABELS)


def test_missing_captum_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(UserError, match="captum") as raised:
        integrated_gradients(an_evolved_network(), some_images(), LABELS)
    assert "contragrad[paper]" in raised.value.remedy


def test_relative_maps_by_hand() -> None:
    attributions = torch.tensor([[[[1.0, -2, 0]], [[1.0, -2, 1]]], [[[0.0, 5, 0]], [[0.0, -5, 0]]]])
    assert relative(attributions).tolist() == [[[0.5, -1, 0.25]], [[0, 0, 0]]]


@given(
    arrays(np.float32, (2, 3, 2, 2), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.integers(-8, 8),
)
def test_relative_maps_reach_one_and_know_no_scale(drawn: Array, exponent: int) -> None:
    attributions = torch.from_numpy(drawn).double()
    maps = relative(attributions)
    assert (maps.dtype, maps.shape) == (torch.float32, (2, 2, 2))
    assert torch.equal(maps.abs().amax((1, 2)), attributions.sum(1).flatten(1).any(1).float())
    assert torch.equal(relative(attributions * 2.0**exponent), maps)
    assert torch.equal(relative(-attributions), -maps)


def test_distances_by_hand() -> None:
    ours = torch.tensor([[[1.0, -0.5], [0.5, 0]], [[1.0, 0], [0, 0]], [[0.0, 0], [0, 0]]])
    theirs = torch.tensor([[[-1.0, 0], [1, 0]], [[0.0, 0.1], [0.3, 0]], [[1.0, 0], [-0.3, 0]]])
    # Shares of the first: 1/2, -1/4, 1/4, 0 and -1/2, 0, 1/2, 0.
    assert pixel_distance(ours, theirs).tolist() == pytest.approx([1 + 0.25 + 0.25, 2, 1])


@given(arrays_of_maps(-1, 1), arrays_of_maps(-1, 1), arrays_of_maps(-1, 1), st.floats(0.1, 10))
def test_distance_is_one_of_maps_up_to_scale(a: Tensor, b: Tensor, c: Tensor, factor: float) -> None:
    distance = pixel_distance(a, b)
    zero = torch.zeros(2, dtype=torch.float64)
    assert (distance.dtype, distance.shape) == (torch.float64, (2,))
    assert distance.min() >= 0
    assert distance.max() <= 2 + 1e-9
    assert torch.equal(distance, pixel_distance(b, a))
    assert (distance <= pixel_distance(a, c) + pixel_distance(c, b) + 1e-9).all()
    torch.testing.assert_close(pixel_distance(a, a.double() * factor), zero)
    torch.testing.assert_close(pixel_distance(a, -a), 2 * a.flatten(1).any(1).double())
    torch.testing.assert_close(pixel_distance(a.double() * factor, b), distance)


def test_maps_that_have_nothing_to_do_with_each_other_lie_as_far_apart_as_figure_3_says() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(100, 32, 32, generator=generator) for _ in range(2))
    assert pixel_distance(ours, theirs).mean().item() == pytest.approx(2**0.5, abs=0.01)
    assert "1.414: as far apart as maps of independent normal values are" in FORMULA


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        pixel_distance(torch.zeros(2, 3, 4), torch.zeros(1, 3, 4))


def halves(left: float, right: float, count: int = 1) -> Tensor:
    """Maps 4 high and 6 wide of two values."""
    return torch.tensor([left] * 3 + [right] * 3).expand(count, 4, 6)


@pytest.mark.parametrize("images", [torch.full((1, 1, 4, 6), 0.5), torch.full((1, 3, 4, 6), 128).byte()])
def test_negative_is_red_and_positive_green(images: Tensor, tmp_path: Path) -> None:
    figure(images, [halves(-1, 1), halves(0, 0)], ["first", "second"], tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as opened:
        shown = np.asarray(opened.convert("RGB")).astype(int)
    red, green = ((shown == colour).all(2) for colour in ((255, 0, 0), (0, 128, 0)))
    # The colour bar on the far right has both too.
    quarter = shown.shape[1] // 4
    panel = slice(quarter, 2 * quarter)
    assert red[:, panel].sum() > 1000
    assert green[:, panel].sum() > 1000
    assert np.nonzero(red[:, panel])[1].max() < np.nonzero(green[:, panel])[1].min()
    assert not red[:, :quarter].any()
    assert not green[:, :quarter].any()
    grey = np.all(abs(shown - 128) <= 1, axis=2)
    assert grey[:, :quarter].sum() > 1000


def test_titles_tell_names_and_distances(tmp_path: Path) -> None:
    maps = [halves(1, 0, 2), halves(-1, 0, 2), torch.cat([halves(0, 0.5), halves(0.5, 0)])]
    names = ["$reference_", "a <network>", "NE+GM"]
    figure(torch.zeros(2, 1, 4, 6), maps, names, path := tmp_path / "figure.svg")
    text = path.read_text(encoding="utf-8")
    for name in ("$reference_", "a &lt;network&gt;", "NE+GM", "relative attribution"):
        assert f">{name}<" in text
    assert text.count(">distance 2.000<") == 3
    assert text.count(">distance 0.000<") == 1
    figure(torch.zeros(2, 1, 4, 6), maps, names, again := tmp_path / "again.svg")
    assert again.read_bytes() == path.read_bytes()


def test_each_networks_own_line_stands_below_its_name_and_what_a_distance_is_below_all(
    tmp_path: Path,
) -> None:
    maps, path = [halves(1, 0), halves(-1, 0)], tmp_path / "figure.svg"
    figure(torch.zeros(1, 1, 4, 6), maps, ["alike", "alike"], path, ["", "mean, seed 0: 0.900"])
    text = path.read_text(encoding="utf-8")
    assert text.count(">mean, seed 0: 0.900<") == 1
    assert f">distance: {DISTANCE}<" in text
    figure(torch.zeros(1, 1, 4, 6), maps[:1], ["alone"], path)
    assert DISTANCE not in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="1 notes"):
        figure(torch.zeros(1, 1, 4, 6), maps, ["a", "b"], path, ["one"])


@pytest.mark.parametrize(
    ("images", "maps", "names", "message"),
    [
        (torch.zeros(0, 1, 4, 6), [halves(0, 1, 0)], ["a"], "0 images"),
        (torch.zeros(1, 1, 4, 6), [], [], "0 sets of maps"),
        (torch.zeros(1, 1, 4, 6), [halves(0, 1)], ["a", "b"], "2 names"),
        (torch.zeros(2, 1, 4, 6), [halves(0, 1)], ["a"], "of a for images"),
        (torch.zeros(1, 1, 6, 4), [halves(0, 1)], ["a"], "of a for images"),
        (torch.zeros(1, 1, 4, 6), [halves(0, 1), halves(0, 1.5)], ["a", "b"], r"of b leave \[-1, 1\]"),
        (torch.zeros(1, 1, 4, 6), [halves(0, float("nan"))], ["a"], "not relative"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    images: Tensor, maps: list[Tensor], names: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        figure(images, maps, names, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())
