"""Figures 3 and 4: where three networks look, and what the architectures are."""

import json
from pathlib import Path
from typing import Any

import torch

from contragrad import draw, table4
from contragrad.evolution.genome import Genome
from contragrad.explain import figure, integrated_gradients, pixel_distance, relative
from contragrad.files import write_text
from contragrad.history import note_look
from contragrad.networks.inference import predict
from contragrad.progress import Progress
from contragrad.recipes import RECIPES, best
from contragrad.reference import HAND_ENGINEERED
from contragrad.reproduce import experiment
from contragrad.reproduce.definition import Experiment
from contragrad.reproduce.experiment import Setup
from contragrad.workspace import load_reference, normalisation

SHOWN = 4
"""Images in figure 3; distances are means over all test images."""

COMPARED = ("reference+GM", "NE+GM 1")
PUBLISHED = {"reference+GM": 0.687, "NE+GM 1": 1.297}
"""The total pixel distances of figure 3's caption, of a formula that the paper does not give."""

EXPERIMENT: Experiment = "reduced-data"
"""Figure 3 is of the full-data experiment in the paper; the networks that can be had here are these.

Deviates: with the scale `full` too.
"""


def figure3(setup: Setup, folder: Path, progress: Progress) -> dict[str, Any]:
    """Integrated gradients of the reference, the reference with GM and the best evolved network.

    Writes figure3.png, the first test images that most of them classify correctly, and figure3.json, the mean
    total pixel distance from the reference's map over all test images.

    Source: section 4.1.1, figure 3.
    """
    found = experiment.searched(setup, EXPERIMENT, progress, randomly=False)
    with experiment.opened(setup, EXPERIMENT, None, progress) as place:
        workspace, test = place.workspace, place.splits.test
        trainings = [RECIPES[name].training(name, workspace.config, found) for name in COMPARED]
        tasks = [task for task in trainings if task is not None]
        normal = normalisation(place.splits.train)
        networks = {"reference": load_reference(workspace, place.splits)}
        trained = table4.train(workspace, tasks, place.executor, progress)
        networks |= {task.name: table4.trained_network(workspace, normal, task) for task in trained}
        progress.stage("integrating gradients")
        right = [predict(network, test.images) == test.labels for network in networks.values()]
        maps = [
            relative(integrated_gradients(network, test.images, test.labels)) for network in networks.values()
        ]
        note_look(place.memo, table4.names(workspace, trained))
    chosen = torch.stack(right).sum(0).argsort(descending=True, stable=True)[:SHOWN]
    figure(test.images[chosen], [each[chosen] for each in maps], list(networks), folder / "figure3.png")
    distances = {
        name: pixel_distance(maps[0], each).mean().item()
        for name, each in zip(networks, maps, strict=True)
        if name != "reference"
    }
    content = {"images": len(test), "published": PUBLISHED, "measured": distances, "seed": setup.seed}
    write_text(folder / "figure3.json", json.dumps(content, indent=1) + "\n")
    return content


def figure4(setup: Setup, folder: Path, progress: Progress) -> list[Path]:
    """Drawings of the hand-engineered networks and of the last population, SVG files in the folder.

    Source: figure 4, appendix A.
    """
    found = experiment.searched(setup, EXPERIMENT, progress, randomly=False)
    with experiment.opened(setup, EXPERIMENT, None, progress) as place:
        problem = place.workspace.problem
    ranked = best(found.evolved, len(found.evolved))
    drawn: dict[str, Genome] = dict(HAND_ENGINEERED)
    drawn |= {f"evolved-{rank}": member.trial.genome for rank, member in enumerate(ranked, start=1)}
    paths = [folder / f"figure4-{name}.svg" for name in drawn]
    for path, (name, genome) in zip(paths, drawn.items(), strict=True):
        draw.architecture(genome, problem, path, title=name)
    return paths
