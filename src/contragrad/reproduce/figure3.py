"""Figure 3: where networks look, over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.text import Text
from torch import Tensor

from contragrad.jobs import full_trainings
from contragrad.legible import legible
from contragrad.networks.inference import predict
from contragrad.pictures import explain
from contragrad.pictures.explain import integrated_gradients, pixel_distance, relative
from contragrad.reproduce import experiment, remarks
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.definition_file import read_figure
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.provenance import Content, told
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.trainings import REFERENCE, trainings
from contragrad.run_folder.contents import normalisation
from contragrad.run_folder.notes import LOOKS, note_look
from contragrad.settings.choices import Scale
from contragrad.watch.events import Ended, Stage, Watcher, Working

PICTURE = "figure3.png"

SHOWN = 4
"""Images in figure 3; distances are means over all test images."""

DISTANCE = "total pixel distance"
FORMULA = (
    f"of each test image {explain.DISTANCE}; "
    "and its mean. The formula is ours, for the paper gives none. 0: the same map; 1.414: as far apart as "
    "maps of independent normal values are; 2: no pixel of the same sign. After ± stands the standard "
    "deviation over seeds, or from image to image, of which it is the seeds' mean"
)

MAPS = (
    f"of the logit of the image's label, from a black image on, by {explain.STEPS} gradients; "
    "the paper gives none of it"
)

PICTURED = (
    "the first test images that most of the networks classify correctly, each map with its own distance"
)

PUBLISHED = (
    "of the paper's full-data experiment: ResNet-34 as the reference, on all of CIFAR-10 (section 4.1.1). "
    "Those measured here are of the reduced-data experiment, with its hand-engineered reference; the two "
    "are not of the same networks"
)
"""What the published distances are of."""

FIGURE3 = read_figure("figure3")
"""The distances of figure 3's caption, of a formula that the paper does not give.

Deviates: figure 3 is of the full-data experiment in the paper, as it is with the scale `full` here; smaller
ones take the networks of the reduced-data experiment, which the tables of that scale share.
"""


def figure_of(scale: Scale) -> Definition:
    """The figure with the networks of that scale."""
    return replace(FIGURE3, experiment="full-data") if scale == "full" else FIGURE3


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Where the networks of one seed look.

    Args:
        images: a few test images.
        maps: each network's map of them.
        distances: each network's mean distance from the reference, over all test images.
        deviations: the standard deviation of these distances over the images.
        looks: how many sets of networks were measured on the test images so far.
    """

    images: Tensor
    maps: dict[str, Tensor]
    distances: dict[str, float]
    deviations: dict[str, float]
    looks: int


def maps_of(figure: Definition, setup: Setup, watch: Watcher) -> Maps:
    """Integrated gradients of the figure's networks, see `figure_of`.

    Those shown are the first test images that most of them classify correctly.

    Source: section 4.1.1, figure 3.
    """
    found = experiment.searched(setup, figure.experiment, watch)
    with experiment.opened(setup, figure.experiment, None, watch) as place:
        workspace, test = place.workspace, place.splits.test
        tasks = trainings(figure, (), workspace.config, found)
        normal = normalisation(place.splits.train)
        networks = {REFERENCE: place.reference()}
        trained = full_trainings.train(workspace, tasks, place.executor, watch)
        networks |= {task.name: full_trainings.trained_network(workspace, normal, task) for task in trained}
        watch(Stage("integrating gradients"))
        right = [predict(network, test.images) == test.labels for network in networks.values()]
        maps = {}
        for number, (name, network) in enumerate(networks.items(), start=1):
            watch(Working("maps", f"{name}, {number} of {len(networks)} networks"))
            maps[name] = relative(integrated_gradients(network, test.images, test.labels))
            watch(Ended("maps"))
        looks = note_look(place.memo, full_trainings.names(workspace, trained))
    apart = {name: pixel_distance(maps[REFERENCE], each) for name, each in maps.items() if name != REFERENCE}
    chosen = torch.stack(right).sum(0).argsort(descending=True, stable=True)[:SHOWN]
    return Maps(
        images=test.images[chosen],
        maps={name: each[chosen] for name, each in maps.items()},
        distances={name: each.mean().item() for name, each in apart.items()},
        deviations={name: each.std(correction=0).item() for name, each in apart.items()},
        looks=looks,
    )


def content(figure: Definition, of: Sequence[Ground], found: Sequence[Maps], *, identity: str) -> Content:
    """The figure as plain JSON: the distances of every seed; None where a training has diverged."""
    return {
        "figure": figure.name,
        "identity": identity,
        **told(figure, of),
        "looks": max(seed.looks for seed in found),
        "formula": FORMULA,
        "maps": MAPS,
        "pictured": f"seed {of[0].setup.seed}: {PICTURED}",
        "published_of": PUBLISHED if figure.experiment == "reduced-data" else None,
        "networks": {
            name: _summary(published.get(DISTANCE), [seed.distances.get(name) for seed in found])
            | {"deviation_over_images": [seed.deviations.get(name) for seed in found]}
            for name, published in figure.networks.items()
            if name != REFERENCE
        },
    }


def _summary(published: float | None, measured: Sequence[float | None]) -> dict[str, Any]:
    there = [distance for distance in measured if distance is not None]
    return {
        "published": published,
        "measured": measured,
        "mean": mean(there) if there else None,
        "deviation": stdev(there) if len(there) > 1 else None,
        "range": [min(there), max(there)] if there else None,
    }


def as_text(shown: Content) -> Text:
    """The distances for people."""
    found = [remarks.heading(shown, shown["figure"]), *remarks.of_scale(shown)]
    for name, each in shown["networks"].items():
        published = "–" if each["published"] is None else f"{each['published']:.3f}"
        if each["mean"] is None:
            found.append(f"{name}: published {published}, measured –")
            continue
        least, most = each["range"]
        seeds = ", ".join(map(str, shown["seeds"]))
        several = len(each["measured"]) - each["measured"].count(None) > 1
        apart = f" ± {deviation:.3f}" if (deviation := each.get("deviation")) is not None else ""
        spread = f"{apart} ({least:.3f}–{most:.3f} over seeds {seeds})" if several else ""
        images = [one for one in each.get("deviation_over_images", ()) if one is not None]
        single = f"; from image to image ± {mean(images):.3f}" if images else ""
        found.append(f"{name}: published {published}, measured {each['mean']:.3f}{spread}{single}")
    found += [
        f"{DISTANCE}: {shown['formula']}",
        *(f"{key}: {shown[key]}" for key in ("maps", "pictured") if key in shown),  # older files do not say
        *([] if (of := shown.get("published_of", PUBLISHED)) is None else [f"published distances: {of}"]),
        *remarks.lines(shown),
    ]
    if shown["looks"] > 1:
        found.append(LOOKS.format(shown["looks"]))
    return Text(legible("\n".join(found), lines=True))


def picture(maps: Maps, seed: int, path: Path) -> None:
    """Writes the picture of a seed, with its mean distances."""
    notes = [
        f"mean, seed {seed}: {maps.distances[name]:.3f}" if name in maps.distances else ""
        for name in maps.maps
    ]
    explain.figure(maps.images, list(maps.maps.values()), list(maps.maps), path, notes)
