"""Training is exact: named random numbers, and a stop that leaves no trace."""

from functools import partial
from typing import get_args

import pytest
import torch
from torch import nn

from contragrad.data.dataset import Examples
from contragrad.evolution.genome import parse
from contragrad.networks.inference import all_reference_directions, predict, resolve_device
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import Material
from contragrad.networks.training import DivergedError, begin, restore, snapshot, train_epoch
from contragrad.settings.choices import Optimiser, Precision
from contragrad.settings.config import TrainingSettings
from strategies import MNIST

SETTINGS = TrainingSettings(batch_size=8)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def examples(count: int = 21) -> Examples:
    images = (torch.rand(count, 1, 28, 28, generator=generator(0)) * 255).to(torch.uint8)
    return Examples(images, torch.arange(count) % 10)


def network(seed: int = 0) -> nn.Module:
    return build(
        parse("conv(4,3) pool(max,2) conv(4,3) sum(2,3) fc(8)"), MNIST, Normalisation((0.3,), (0.4,)), seed
    )


def directions(data: Examples) -> torch.Tensor:
    return all_reference_directions(network(9), data)


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize("gm_every", [1, 2])
def test_a_restored_session_ends_in_the_same_weights(optimiser: Optimiser, stop: int, gm_every: int) -> None:
    # Three steps an epoch: with every second one, the GM loss does not come at the same places in each.
    settings = TrainingSettings(batch_size=8, optimiser=optimiser, gm_every=gm_every)
    data = examples()
    reference = directions(data)
    whole = begin(network(), settings)
    for _ in range(3):
        train_epoch(whole, data, Material(reference), settings, seed=1)
    first = begin(network(), settings)
    for _ in range(stop):
        train_epoch(first, data, Material(reference), settings, seed=1)
    second = begin(network(seed=4), settings)
    restore(second, snapshot(first))
    assert second.epoch == stop
    while second.epoch < 3:
        train_epoch(second, data, Material(reference), settings, seed=1)
    assert all(map(torch.equal, weights(whole.network), weights(second.network)))


def test_the_result_does_not_depend_on_the_global_generator_and_leaves_it_alone() -> None:
    data = examples()
    dropout = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    found = []
    for disturbance in (3, 4):
        torch.manual_seed(disturbance)
        expected_next = torch.rand(1, generator=generator(disturbance))
        layer = nn.Sequential(*dropout)
        layer.load_state_dict({name: torch.full_like(v, 0.01) for name, v in dropout.state_dict().items()})
        train_epoch(begin(layer, SETTINGS), data, Material(), SETTINGS, seed=2)
        assert torch.equal(torch.rand(1), expected_next)
        found.append(weights(layer))
    assert all(map(torch.equal, *found))


def test_another_seed_is_another_order() -> None:
    data = examples()
    found = []
    for seed in (1, 2):
        session = begin(network(), SETTINGS)
        train_epoch(session, data, Material(), SETTINGS, seed=seed)
        found.append(weights(session.network))
    assert not all(map(torch.equal, *found))


def test_gm_lowers_the_alignment_and_cross_entropy_alone_does_not() -> None:
    data = examples(64)
    reference = directions(data)
    settings = TrainingSettings(batch_size=16, gm_weight=10.0)
    session = begin(network(), settings)
    found = [train_epoch(session, data, Material(reference), settings, seed=1).alignment for _ in range(15)]
    assert found[0] is not None
    assert found[-1] is not None
    assert found[-1] < found[0] - 0.1
    assert train_epoch(session, data, Material(), settings, seed=1).alignment is None


def test_lazy_gm_has_the_whole_weight_in_one_step_of_k_and_none_in_the_others() -> None:
    data = examples(16)
    reference = directions(data)
    lazy, eager = TrainingSettings(gm_weight=0.5, gm_every=2), TrainingSettings(gm_weight=1.0)
    found, expected = begin(network(), lazy), begin(network(), eager)
    # All images in one step, so that an epoch is a step.
    for epoch, given in enumerate((reference, None, reference)):
        losses = train_epoch(found, data, Material(reference), lazy, seed=1)
        same = train_epoch(expected, data, Material(given), eager, seed=1)
        assert losses == same, epoch
    assert all(map(torch.equal, weights(found.network), weights(expected.network)))


@pytest.mark.parametrize(("gm_every", "aligned"), [(1, 24), (2, 16), (3, 8), (100, 8)])
def test_the_alignment_is_the_mean_of_the_images_that_it_was_worked_out_for(
    gm_every: int, aligned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contragrad.networks import training

    counted = []

    def constant(
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        directions: torch.Tensor,
        penalty: object,
        key: None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        counted.append(len(images))
        return network(images).sum() * 0, torch.tensor(0.25, dtype=torch.float64)

    monkeypatch.setattr(training, "losses", constant)
    data = examples(24)
    settings = TrainingSettings(batch_size=8, gm_every=gm_every)
    found = train_epoch(begin(network(), settings), data, Material(directions(data)), settings, seed=1)
    assert sum(counted) == aligned
    assert found.alignment == 0.25


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_a_divergence(poison: float) -> None:
    module = network()
    with torch.no_grad():
        next(module.parameters()).fill_(poison)
    with pytest.raises(DivergedError, match="epoch 1"):
        train_epoch(begin(module, SETTINGS), examples(), Material(), SETTINGS, seed=1)


def test_predictions_are_made_in_evaluation_mode_whatever_the_batch() -> None:
    module = network().train()
    data = examples(30)
    together = predict(module, data.images)
    apart = torch.cat([predict(module, image[None]) for image in data.images])
    assert torch.equal(together, apart)
    assert together.shape == (30,)


def test_a_device_that_is_not_there_is_named() -> None:
    from contragrad.errors import UserError

    assert resolve_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="cuda"):
            resolve_device("cuda")


def test_in_bfloat16_the_gradients_keep_their_direction() -> None:
    data = examples(32)
    reference = directions(data)
    genome = parse(
        "conv(8,3) pool(max,2) conv(4,3) sum(1,2) strided(8,1) cat(1,3) pool(avg,3) conv(4,5) sum(5,8) fc(8)"
    )

    def note(types: set[torch.dtype], _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        types.add(output.dtype)

    found = {}
    for precision in get_args(Precision):
        # One step, so that the weights' change is the gradient.
        settings = TrainingSettings(batch_size=32, gm_weight=2.0, optimiser="sgd", precision=precision)
        session = begin(build(genome, MNIST, Normalisation((0.3,), (0.4,)), seed=0), settings)
        before = [parameter.detach().clone() for parameter in session.network.parameters()]
        types: set[torch.dtype] = set()
        for module in session.network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(partial(note, types))
        losses = train_epoch(session, data, Material(reference), settings, seed=1)
        assert types == {getattr(torch, precision)}
        changes = [
            now.detach() - then for now, then in zip(session.network.parameters(), before, strict=True)
        ]
        found[precision] = losses, torch.cat([change.flatten() for change in changes])
    (exact, gradient), (rough, other) = found["float32"], found["bfloat16"]
    assert rough.cross_entropy == pytest.approx(exact.cross_entropy, rel=0.02)
    assert gradient.dtype == other.dtype == torch.float32
    assert torch.cosine_similarity(gradient, other, dim=0) > 0.98
