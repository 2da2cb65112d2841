"""Audits of networks whose answer is known, on digits and without torchvision's large networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from contragrad.artefacts import network_fingerprint
from contragrad.audit import command, sources
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.findings import Findings
from contragrad.audit.runner import Runner
from contragrad.audit.settings import AuditSettings
from contragrad.audit.target import Target
from contragrad.data.dataset import Splits
from contragrad.engine.executors import InProcess
from contragrad.engine.work import Work
from contragrad.jobs import entry, run
from contragrad.reference import architecture
from contragrad.run_folder.contents import load_reference
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import AttackSettings, DataSettings, ReferenceSettings, StudyConfig
from contragrad.settings.search import Limits, SearchSettings
from contragrad.watch.events import nobody

SEARCH = SearchSettings(
    population=2,
    children=1,
    generations=1,
    epochs=1,
    minimum_distance=1,
    channels=(8,),
    kernels=(3,),
    hidden=16,
    initial_blocks_max=3,
    limits=Limits(flops=300_000),
)

CONFIG = StudyConfig(
    data=DataSettings(source="digits"),
    reference=ReferenceSettings(epochs=6),
    attack=AttackSettings(epsilon=AuditSettings().epsilon * 4, steps=5),
    search=SEARCH,
    device="cpu",
)
"""Digits have few pixels, so a larger epsilon than usual is needed to fool the reference."""

SETTINGS = AuditSettings(
    epsilon=CONFIG.attack.epsilon,
    images=60,
    steps=10,
    restarts=2,
    queries=30,
    distilled=300,
    surrogates=1,
)


@dataclass(frozen=True)
class Place:
    """An open run folder whose reference is trained."""

    workspace: Workspace
    splits: Splits

    @property
    def reference(self) -> nn.Module:
        return load_reference(self.workspace, self.splits)

    def target(self, network: nn.Module, *, text: str | None = None) -> Target:
        """The network as a target of unknown making."""
        return Target(
            name="known",
            network=network.eval(),
            fingerprint=network_fingerprint(network),
            architecture=text,
            objective="cross-entropy",
            epochs=CONFIG.reference.epochs,
            keep="last",
            seed=None,
            weights=self.workspace.folder / "study.yaml",
        )

    def copy_of_the_reference(self) -> Target:
        return self.target(self.reference, text=architecture(CONFIG.reference))

    def audit(self, target: Target, settings: AuditSettings = SETTINGS) -> Findings:
        work = Work(setup="contragrad.jobs.tasks:prepare", argument=self.workspace)
        arsenal = Arsenal(
            workspace=self.workspace,
            splits=self.splits,
            target=target,
            settings=settings,
            executor=InProcess(work),
            watch=nobody,
        )
        facts = command.facts(self.workspace, self.splits.test, target, selected=None, looks=None)
        return Runner(arsenal=arsenal, begun=0.0).run(facts)


@contextmanager
def opened(folder: Path) -> Iterator[Place]:
    dataset, workspace = entry.entered(CONFIG, folder, nobody)
    with run.opened(workspace, dataset, nobody) as (_, splits):
        run.make_shared(workspace, splits, nobody)
        yield Place(workspace, splits)


@contextmanager
def without_families() -> Iterator[None]:
    """A block in which audits have none of torchvision's sources: minutes each on a CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "FAMILIES", ())
        yield


class Constant(nn.Module):
    """Always says the first class."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([1.0] + [0.0] * 9))

    def forward(self, images: Tensor) -> Tensor:
        return self.bias + 0 * images.sum((1, 2, 3))[:, None]


class Stepped(nn.Module):
    """A network that sees images in a few grey levels: it has no gradient, and is no harder to fool."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images * 8).round() / 8)
        return logits


class Flipping(nn.Module):
    """A network that gives another answer at random."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        flipped = torch.rand(len(images)) < 0.3
        return torch.where(flipped[:, None], -logits, logits)
