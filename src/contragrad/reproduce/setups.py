"""The studies behind the tables: their settings at a scale, their data, and their folders."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from contragrad.data.sources import LAYOUT
from contragrad.errors import UserError
from contragrad.reproduce.definition import DataName, Experiment
from contragrad.settings import config_file
from contragrad.settings.choices import Scale
from contragrad.settings.config import DataSettings, StudyConfig
from contragrad.studies import shipped

FILES: dict[DataName, str] = {
    "cifar10": "cifar10_reduced.npz",
    "mnist": "mnist_reduced.npz",
    "fashion-mnist": "fmnist_reduced.npz",
    "kmnist": "kmnist_reduced.npz",
}
"""The reduced sets' files; the fashion one ships with the package too."""

SHAPES: dict[DataName, tuple[int, int, int]] = {
    "cifar10": (3, 32, 32),
    "mnist": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "kmnist": (1, 28, 28),
}
"""Channels, height and width of each set's images."""

EVOLVED_ON: DataName = "cifar10"
"""What both experiments evolve networks on."""

PER_CLASS = (1000, 100)
"""Training and test images of a class in a reduced set.

Source: section 4.2.1.
"""


ELSEWHERE = {
    "seed": "--seeds",
    "data.path": "--data FOLDER",
    "data.source": "--data FOLDER",
    "fitness_split": "--protocol",
    "training.objective": "the tables as they are: other objectives are rows of theirs, and NE+GM is GM's",
    "search.variation": "the tables as they are: random search is a row of theirs, and NE is evolved",
    "refine.together": "the tables as they are: networks deployed together are rows of theirs",
    "attack.name": "the tables as they are: the other attacks are columns of table 5, named by them",
}
"""Settings that reproduce has options of its own for, or that would make names lie; what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One run of the studies.

    Args:
        scale: how deep.
        seed: the study's.
        paper_protocol: fitness is measured on the test images, as in the paper.
        data: the folder that holds the data sets.
        out: the folder that all runs lie below.
        overrides: settings that differ from the scale's, as options of the command line.
    """

    scale: Scale
    seed: int
    paper_protocol: bool
    data: Path
    out: Path
    overrides: tuple[str, ...] = ()

    @property
    def base(self) -> Path:
        """The folder of all that has the same scale and protocol."""
        return self.out / (f"{self.scale}-paper-protocol" if self.paper_protocol else self.scale)

    def config(
        self, experiment: Experiment, data: DataName | None, epsilon: Fraction | None = None
    ) -> StudyConfig:
        """The settings of the experiment, on its own data or on others, with its own epsilon or another.

        Raises:
            UserError: if an override is wrong or says another epsilon, or the data set is not in the folder.
        """
        options = {word[2:].partition("=")[0].rstrip("+") for word in self.overrides if word[:2] == "--"}
        for key, instead in ELSEWHERE.items():
            # A section can be given as a whole.
            if option := next((each for each in options if f"{key}.".startswith(f"{each}.")), None):
                raise UserError(
                    f"--{option} is no option of reproduce", where="the command line", remedy=instead
                )
        if epsilon is not None and "attack.epsilon" in options:
            raise UserError(
                "--attack.epsilon is no option of a table whose data sets have epsilons of their own",
                where="the command line",
                remedy="leave it out",
            )
        # The best epoch of a training would be chosen on the test images.
        protocol = ("--fitness_split=test", "--refine.keep=last") if self.paper_protocol else ()
        radius = () if epsilon is None else (f"--attack.epsilon={epsilon}",)
        path = shipped.study(f"{experiment}/{self.scale}")
        try:
            config = config_file.read(path, (f"--seed={self.seed}", *protocol, *radius, *self.overrides))
        except UserError as error:
            if not self.paper_protocol or error.where not in ("refine.keep", "refine.patience"):
                raise
            remedy = f"leave --{error.where} out, or --protocol separate"
            raise UserError(
                "by the paper's protocol a best epoch would be chosen on the test images",
                where=f"--protocol paper and {error.where}",
                remedy=remedy,
            ) from error
        return replace(config, data=data_settings(data or EVOLVED_ON, config.data, self.data))

    def folder(self, experiment: Experiment, data: DataName | None, epsilon: Fraction | None = None) -> Path:
        """The run folder."""
        radius = None if epsilon is None else str(epsilon).replace("/", "-")
        parts = ("seed", self.seed, data, radius)
        return self.base / experiment / "-".join(str(part) for part in parts if part is not None)


def data_settings(name: DataName, base: DataSettings, folder: Path) -> DataSettings:
    """Where a data set is found: as an npz file of the reduced set, or as torchvision lays it out.

    Args:
        name: the data set.
        base: the scale's settings; `npz` asks for the reduced set, any other source for all of it.
        folder: that of the command line.

    Raises:
        UserError: if it is not there, in neither form that will do, and is not to be downloaded.
    """
    root = folder.expanduser().resolve()
    reduced, layout = base.source == "npz", LAYOUT[name]
    if reduced and (root / FILES[name]).is_file():
        return replace(base, path=str(root / FILES[name]))
    if reduced and name == "fashion-mnist":
        return replace(base, source="fashion-mnist-reduced", path=None)
    if not (root / layout).is_dir() and not base.download:
        what = f"{'the reduced' if reduced else 'all of'} {name} is not in this folder"
        raise UserError(
            what if root.is_dir() else "this is no folder" if root.exists() else "there is no such folder",
            where=f"--data {folder}",
            remedy=f"a folder with {f'{FILES[name]}, or with ' * reduced}torchvision's {layout}, "
            "which --data.download true fetches",
        )
    if not reduced:
        return replace(base, source=name, path=str(root))
    train, test = PER_CLASS
    return replace(
        base,
        source=name,
        path=str(root),
        train_per_class=base.train_per_class or train,
        test_per_class=base.test_per_class or test,
    )
