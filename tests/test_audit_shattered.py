"""A network whose gradients are there and of no use: attackers who do without them must give it away."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from audits import SETTINGS, Place, opened, without_families
from contragrad.audit import verdict
from contragrad.audit.attackers import REFERENCE, TARGET
from contragrad.audit.checks.every import judged
from contragrad.audit.findings import Findings
from contragrad.audit.standing import misled

pytestmark = pytest.mark.slow

HEIGHT = 0.02
"""How far a pixel is moved: less than a sixth of the attacks' epsilon."""

WAVES = 999.7
"""Of the movement from black to white."""


class Shattered(nn.Module):
    """A network that sees each pixel moved a little by a wave so short that its slope hides the network's.

    Seen from afar it is the network: a pixel's derivative is that of the network times 1 + 2 pi 20 cos(...),
    whose sign is the wave's. Each pixel has a phase of its own, for many are black.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("phase", torch.rand(8, 8, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        turns = WAVES * images + self.get_buffer("phase")
        moved = images + HEIGHT * (2 * math.pi * turns).sin()
        logits: Tensor = self.network(moved)
        return logits


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Findings]:
    with without_families(), opened(tmp_path_factory.mktemp("shattered") / "run") as place:
        yield audited(place)


def audited(place: Place) -> Findings:
    target = place.target(Shattered(place.reference))
    return place.audit(target, replace(SETTINGS, queries=200))


def test_its_gradients_are_there_and_pgd_finds_little_that_others_find(findings: Findings) -> None:
    assert findings.probes.zero_gradients == findings.probes.broken_gradients == 0
    assert findings.probes.gradient_ratio > 10
    assert abs(float(findings.probes.aligned[REFERENCE].mean())) < 0.15
    own, transferred = findings.plain(TARGET), findings.plain(REFERENCE)
    assert own is not None
    assert transferred is not None
    few, many = findings.fooled([own]).share, findings.fooled([transferred]).share
    assert few is not None
    assert many is not None
    assert few < many / 2


def test_it_is_said_to_hide_its_gradients(findings: Findings) -> None:
    verdicts = {check.number: result.verdict for check, result in judged(findings)}
    assert verdicts[15] != "FAIL", "they are there"
    assert verdicts[13] == "FAIL"
    assert verdicts[14] == "FAIL"
    assert misled(findings)
    assert "gradient masking" in verdict.verdict(findings)
