"""What a page tells of a run: everything that its sections are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from contragrad.artefacts import Artefacts
from contragrad.audit.card import Card, Unreadable
from contragrad.evaluate import Row
from contragrad.evolution.search import State
from contragrad.jobs import recipes
from contragrad.jobs.curve import Curve
from contragrad.networks.architectures import members_of
from contragrad.page.blocks import Picture
from contragrad.page.cards import Pictured
from contragrad.page.cost import Cost
from contragrad.page.steps import Step, steps, winners
from contragrad.reference import architecture
from contragrad.run_folder.history import History
from contragrad.settings.checks import radius
from contragrad.settings.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class Story:
    """A run as far as it has come. It has no slots, because what follows from it is kept.

    Args:
        folder: the run folder.
        history: its study.
        rows: its table; none if no network was measured on the test images.
        cost: what stands in its database.
        cards: its audits.
        study_file: its settings as they are stored.
        architectures: drawings, or why there are none.
        attributions: integrated gradients, or why there are none.
        curves: of the trainings in full, by network; without those that kept none.
        written: when the page is written.
        version: of contragrad, that writes it.
    """

    folder: Path
    history: History
    rows: Sequence[Row]
    cost: Cost
    cards: Sequence[Pictured | Unreadable]
    study_file: str
    architectures: Sequence[Picture] | str
    attributions: Picture | str
    curves: Mapping[str, Curve]
    written: datetime
    version: str

    @property
    def config(self) -> StudyConfig:
        """The study's settings."""
        return self.history.config

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What the search was told."""
        return steps(self.history.told)

    @property
    def planned(self) -> int:
        """Trials of the whole search."""
        search = self.config.search
        return search.population * (1 + search.generations * search.children)

    @property
    def finished(self) -> bool:
        """Whether the search has ended."""
        return self.history.state is not None and self.history.state.finished

    @property
    def winners(self) -> Mapping[str, Step]:
        """The best of the population, by the names that the table gives them."""
        state = self.history.state
        if state is None or not state.population:
            return {}
        names = evolved(self.config, state)
        found = winners(self.steps, state, len(names))
        return dict(zip(names, found, strict=True))

    @property
    def outlived(self) -> bool:
        """Whether the table is of an earlier end of the search, which then went on."""
        now = {name: str(step.trial.genome) for name, step in self.winners.items()}
        return bool(self.rows) and (
            not self.finished
            or any(members_of(row.architecture)[0] != now[row.name] for row in self.best_rows)
        )

    def earlier(self, card: Card) -> bool:
        """Whether the audit is of a network that had its name before the table's."""
        weights = Artefacts(Path("artefacts")).path("network", card.fingerprint)
        return any(row.name == card.network and Path(row.weights) != weights for row in self.rows)

    @property
    def best_rows(self) -> tuple[Row, ...]:
        """The table's evolved networks, the best by fitness first."""
        state = self.history.state
        names = evolved(self.config, state) if state is not None else ()
        return tuple(row for name in names for row in self.rows if row.name == name)


def evolved(config: StudyConfig, state: State) -> tuple[str, ...]:
    """What a table calls the networks that a search has found."""
    named = recipes.main_job_of(config, state.population)
    return tuple(name for name, recipe in named.items() if recipe.of == "evolved")


def drawn_networks(history: History) -> dict[str, str]:
    """The reference's architecture and those of the best of the population, by name."""
    networks = {"reference": architecture(history.config.reference)}
    if history.state is not None and history.state.population:
        names = evolved(history.config, history.state)
        for name, member in zip(names, recipes.best(history.state.population, len(names)), strict=True):
            networks[name] = str(member.trial.genome)
    return networks


def crafted_on(config: StudyConfig) -> str:
    """The networks on whose examples the search measures adversarial accuracy."""
    sources = [source for source in config.training.sources if source != "key"]
    if sources == ["reference"]:
        return "the reference"
    *others, last = sources
    return f"each of {', '.join(others)} and {last}" if others else last


def attack_text(config: StudyConfig) -> str:
    """The study's attack in a few words."""
    attack = config.attack
    return f"{attack.name}, ε = {radius(attack.epsilon)}"
