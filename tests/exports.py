"""Networks to export: one of every block, and a run that has ended without any training."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contragrad import evaluate
from contragrad.artefacts import network_fingerprint
from contragrad.audit.target import Target
from contragrad.engine import study
from contragrad.engine.executors import InProcess
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.work import Work
from contragrad.evaluate import Row
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.search import start
from contragrad.evolution.shapes import Problem
from contragrad.jobs import entry, full_trainings
from contragrad.jobs.tasks import task_name
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation, build
from contragrad.networks.randomness import isolated
from contragrad.run_folder.contents import store_splits, untrained_reference
from contragrad.run_folder.notes import note_origin
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, TABLE, Workspace
from contragrad.settings import config_file
from contragrad.settings.config import DataSettings, ReferenceSettings, RefineSettings, StudyConfig
from strategies import small_settings

EVERY_BLOCK = parse(
    "conv(4,3) strided(6,5) pool(max,2) pool(max,3) strided(5,1) pool(avg,2) pool(avg,3) "
    "sum(1,7) sum(2,8) cat(3,9) cat(4,10) sum(5,11) cat(6,12) fc(6)"
)
"""Sums with more channels on the left, on the right; maps that differ by several halvings."""

ODD = Problem(3, 33, 17, 3)
NORMALISATION = Normalisation((0.5, 0.4, 0.3, 0.2), (0.25, 0.3, 0.2, 0.1))
BEST = "NE+GM 1"
CONFIG = StudyConfig(
    reference=ReferenceSettings(architecture="hand-engineered-b"),
    search=small_settings(population=2, children=1, generations=1),
    refine=RefineSettings(networks=1, epochs=3),
    device="cpu",
)


def images(problem: Problem, count: int = 5) -> Tensor:
    shape = (count, problem.channels, problem.height, problem.width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def settled(network: nn.Module, problem: Problem) -> nn.Module:
    """The network with batch statistics that are not those it was made with, in evaluation mode."""
    with isolated(0, "settle"), torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean = torch.rand(module.num_features)
                module.running_var = torch.rand(module.num_features) + 0.5
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return network.eval()


def evolved(genome: Genome, problem: Problem = ODD) -> nn.Module:
    normal = Normalisation(
        *(values[: problem.channels] for values in (NORMALISATION.mean, NORMALISATION.deviation))
    )
    return settled(build(genome, problem, normal, seed=0), problem)


def target_of(network: nn.Module, text: str) -> Target:
    """The network as a target."""
    return Target(
        name=BEST,
        network=network,
        fingerprint=network_fingerprint(network),
        architecture=text,
        objective="gm",
        epochs=1,
        keep="last",
        seed=0,
        weights=Path("weights"),
    )


def ended_run(folder: Path, **changes: Any) -> Workspace:
    """A run folder with weights and a table; outcomes and accuracies are made up."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 9, 7), np.uint8)
    labels = np.arange(40) % 4
    data = folder.with_name("data.npz")
    np.savez(data, x_train=pixels, y_train=labels, x_test=255 - pixels, y_test=labels)
    config = replace(CONFIG, **changes, data=DataSettings(source="npz", path=str(data)))
    folder.mkdir()
    config_file.write(config, folder / CONFIGURATION)
    dataset, workspace = entry.open_data(config, folder)
    with closing(InProcess(Work("performers:toys", None))) as executor, SqliteMemo(folder / DATABASE) as memo:
        note_origin(memo, workspace)
        state = study.run(
            start(config.search, workspace.problem, config.seed),
            memo=memo,
            executor=executor,
            key_of=workspace.evaluation_name,
            on_event=lambda event: None,
        )
    splits = store_splits(workspace, dataset)
    networks = {"reference": (workspace.reference_name, untrained_reference(workspace, splits))}
    for task in full_trainings.final_trainings(workspace, state):
        network = construct(task.architecture, workspace.problem, Normalisation((0.5,), (0.25,)), task.seed)
        networks[task.name] = (task_name(task, workspace), network)
    for name, network in networks.values():
        workspace.artefacts.save("network", name, dict(settled(network, workspace.problem).state_dict()))
    evaluate.write(
        tuple(_row(workspace, name, weights) for name, (weights, _) in networks.items()), folder / TABLE
    )
    return workspace


def _row(workspace: Workspace, name: str, weights: str) -> Row:
    path = workspace.artefacts.path("network", weights).relative_to(workspace.folder)
    return Row(
        name=name,
        clean_accuracy=0.75,
        adversarial_accuracy=0.5,
        clean_interval=(0.598, 0.858),
        adversarial_interval=(0.352, 0.648),
        parameters=1,
        images=40,
        architecture="",
        weights=str(path),
    )
