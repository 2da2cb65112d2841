"""Copies of a network: what is asked, what is learnt of the answers, and how alike the copy is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from audits import CONFIG, SETTINGS
from contragrad.audit.distillation import distilled, distilled_name, probabilities, questions
from contragrad.audit.probes import _agreement
from contragrad.audit.sources import DISTILLED, TWIN
from contragrad.audit.target import Target
from contragrad.data.dataset import Examples, Splits, pixels
from contragrad.evaluate import Share
from contragrad.evolution.shapes import Problem
from contragrad.networks.inference import predict
from contragrad.run_folder.workspace import Workspace

quick = settings(max_examples=50)


@st.composite
def pictures(draw: st.DrawFn) -> Tensor:
    """A few images, each another, bytes or floats."""
    count = draw(st.integers(1, 5))
    images = torch.arange(count * 4, dtype=torch.uint8).reshape(count, 1, 2, 2) * 12
    return images if draw(st.booleans()) else images.float() / 255


@quick
@given(pictures(), st.integers(1, 17), st.sampled_from((0.01, 0.3, 1.0)), st.integers(0, 2**32))
def test_questions_are_clean_once_at_most_then_noisy_and_stay_in_the_ball(
    images: Tensor, answers: int, epsilon: float, seed: int
) -> None:
    found = questions(images, answers, epsilon, seed)
    assert found.shape == (answers, *images.shape[1:])
    assert found.dtype == torch.float32
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert torch.equal(questions(images, answers, epsilon, seed), found)
    distances = (found[:, None] - pixels(images)[None]).abs().flatten(2).amax(2)
    clean = min(answers - answers // 2, len(images))
    assert (distances[:clean].min(1).values == 0).all()
    places = distances[:clean].argmin(1).tolist()
    assert len(set(places)) == len(places), "no image is asked about twice as it is"
    assert float(distances.min(1).values.max()) <= epsilon + 1e-6


def test_half_of_the_questions_are_noisy_however_few_there_are_for_the_images() -> None:
    images = torch.full((100, 1, 4, 4), 0.5)
    found = questions(images, 60, 0.25, 0)
    noise = found - 0.5
    noisy = (noise.flatten(1) != 0).any(1)
    assert noisy.tolist() == [False] * 30 + [True] * 30
    assert not torch.equal(noise[30:45], noise[45:])
    assert float(noise.abs().max()) > 0.2
    assert torch.equal(images, torch.full((100, 1, 4, 4), 0.5))


class Linear(nn.Module):
    """A linear network that is sure of nothing."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.Parameter(torch.randn(64, 10, generator=generator) / 8)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights


def test_what_is_learnt_are_probabilities() -> None:
    images = torch.rand(500, 1, 8, 8)
    found = probabilities(Linear(), images)
    torch.testing.assert_close(found.sum(1), torch.ones(500))
    assert torch.equal(found.argmax(1), predict(Linear(), images))
    torch.testing.assert_close(found.log(), Linear()(images).log_softmax(1))


def test_a_network_agrees_with_itself_and_with_a_reversed_one_never() -> None:
    class Opposite(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return -super().forward(images)

    images = torch.rand(100, 1, 8, 8)
    assert _agreement(Linear(), {DISTILLED: Linear()}, images) == Share(100, 100)
    assert _agreement(Linear(), {DISTILLED: Opposite()}, images) == Share(0, 100)
    assert _agreement(Linear(), {TWIN: Linear()}, images) is None


def copied(folder: Path, network: nn.Module) -> tuple[Workspace, Splits, Target]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(400, 1, 8, 8, generator=generator)
    whole = Examples(images, torch.zeros(400, dtype=torch.int64))
    splits = Splits(whole, whole, whole)
    config = replace(CONFIG, reference=replace(CONFIG.reference, epochs=20))
    workspace = Workspace(
        folder=folder, config=config, data="data", problem=Problem(1, 8, 8, 10), weights=None
    )
    target = Target(
        name="target",
        network=network.eval(),
        fingerprint="target",
        architecture=None,
        objective="cross-entropy",
        epochs=1,
        keep="last",
        seed=None,
        weights=folder,
    )
    return workspace, splits, target


def test_a_copy_learns_how_sure_its_network_is_and_is_found_again(tmp_path: Path) -> None:
    network = Linear()
    workspace, splits, target = copied(tmp_path, network)
    told: list[dict[str, float]] = []
    depth = replace(SETTINGS, distilled=400)
    copy = distilled(workspace, splits, target, depth, told.append)
    assert copy.fingerprint == distilled_name(workspace, target, depth)
    # The labels, which the attacker has not, are all the same; classes alone would teach certainty.
    images = splits.test.images
    own, its = (probabilities(each, images) for each in (network, copy.network))
    assert (own - its).abs().sum(1).mean() < (own - own.mean(0)).abs().sum(1).mean()
    assert abs(float((its.amax(1) - own.amax(1)).mean())) < 0.05
    assert len(told) == 20
    again = distilled(workspace, splits, target, depth, told.append)
    assert len(told) == 20
    assert torch.equal(again.network(images), copy.network(images))


@pytest.mark.parametrize("change", [{"distilled": 401}, {"epsilon": SETTINGS.epsilon / 2}])
def test_other_questions_make_another_copy(tmp_path: Path, change: dict[str, Any]) -> None:
    workspace, _, target = copied(tmp_path, Linear())
    assert distilled_name(workspace, target, SETTINGS) != distilled_name(
        workspace, target, replace(SETTINGS, **change)
    )
