"""The studies that a table stands on, before anything is made, and the name of all that it depends on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from contragrad.data.dataset import Dataset, split
from contragrad.data.sources import LAYOUT
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import Member
from contragrad.evolution.trial import Infeasible, Trial
from contragrad.fingerprint import fingerprint
from contragrad.jobs import entry
from contragrad.jobs.recipes import RECIPES, Found
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import deployed_name
from contragrad.reproduce.definition import DataName, Definition
from contragrad.reproduce.setups import EVOLVED_ON, FILES, SHAPES, Setup
from contragrad.reproduce.trainings import trainings
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import DataSettings, StudyConfig

TABLE = "table/3"
"""Raised by hand when the code shows something else of the same networks: a measure, a filter, a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A study that a table stands on, before anything is made.

    Args:
        setup: its seed and scale.
        data: the data set of its columns; None is the one that the networks are evolved on.
        workspace: the names of all in it.
        images: how many there are of each part.
    """

    setup: Setup
    data: DataName | None
    workspace: Workspace
    images: Mapping[str, int]

    @property
    def reduced(self) -> bool:
        """Whether the data set is a part of the published one."""
        data = self.workspace.config.data
        return data.source not in LAYOUT or (data.train_per_class, data.test_per_class) != (None, None)


def grounds(definition: Definition, setups: Sequence[Setup]) -> tuple[Ground, ...]:
    """The studies of a table, for each data set and seed; reads the data, and writes nothing.

    Raises:
        UserError: for whatever in the settings or the data is wrong, or if the search cannot find as many
            networks as the table has.
    """
    found = []
    rank = max((RECIPES[name].rank for name in definition.networks), default=1)
    # The networks come from the experiment's own data, whatever those of the columns are.
    for data in dict.fromkeys((None, *definition.data)):
        epsilon = definition.epsilon_of(data)
        configs = [setup.config(definition.experiment, data, epsilon) for setup in setups]
        if (population := configs[0].search.population) < rank:
            raise UserError(
                f"{definition.name} has {rank} networks of a population, which is to have {population}",
                where="search.population",
                remedy=f"{rank} or more",
            )
        dataset, workspace = entry.open_data(configs[0], Path())  # the same for every seed
        if dataset.shape != (shape := SHAPES[data or EVOLVED_ON]):
            raise UserError(
                f"these are no images of {data or EVOLVED_ON}: {_by(dataset.shape)}, not {_by(shape)}",
                where=f"--data: {configs[0].data.path}",
                remedy=f"a folder whose {FILES[data or EVOLVED_ON]} has images of {_by(shape)}",
            )
        images = _images(dataset, configs[0])
        for setup, config in zip(setups, configs, strict=True):
            folder = setup.folder(definition.experiment, data, epsilon)
            own = replace(workspace, config=config, folder=folder)
            found.append(Ground(setup=setup, data=data, workspace=own, images=images))
    return tuple(found)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _images(dataset: Dataset, config: StudyConfig) -> dict[str, int]:
    if config.fitness_split == "test":
        return {"training": len(dataset.train), "test": len(dataset.test)}
    parts = split(dataset, config.data.validation_fraction, config.seed)
    return {"training": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}


def identity(definition: Definition, of: Sequence[Ground]) -> str:
    """Names what a table depends on: its definition, the settings, and the content of data and weights."""
    content = asdict(definition)
    # What older definitions knew nothing of is no part of their names.
    for later in ("epsilons", "worst_cases", "baseline", "weights"):
        if not content[later]:
            del content[later]
    return fingerprint(TABLE, content, [_names(definition, ground) for ground in of])


def _names(definition: Definition, ground: Ground) -> list[object]:
    """The settings of a study, and what its evaluations and the table's trainings are called."""
    workspace = ground.workspace
    config = workspace.config
    trials, tasks = stand_ins(definition, ground)
    # Where the files lie is no part of it; what they hold is in the names.
    placeless = replace(config, data=DataSettings(), reference=replace(config.reference, weights=None))
    return [
        placeless,
        workspace.adversarial_name("test"),
        [workspace.evaluation_name(trial) for trial in trials],
        [deployed_name(task, workspace) for task in tasks],
    ]


def stand_ins(definition: Definition, ground: Ground) -> tuple[list[Trial], list[FullTraining]]:
    """The initial candidates of a study's search, and the table's trainings if they were what it finds."""
    workspace = ground.workspace
    config = workspace.config
    initial = search.start(config.search, workspace.problem, config.seed).initial
    trials = [Trial(genome, search.epochs(config.search, config.search.generations)) for genome in initial]
    members = [Member(trial, Infeasible("stands in")) for trial in trials]
    found = Found(members, members, members, config.training.sources)
    return trials, trainings(definition, definition.columns, config, found)
