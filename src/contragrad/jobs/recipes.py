"""The networks that tables compare, as recipes: whose architecture, trained for what, seen through what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from contragrad.evolution.search import Member
from contragrad.evolution.trial import Abandoned
from contragrad.fingerprint import stream_seed
from contragrad.fitness import trial_seed
from contragrad.jobs.refine import FullTraining
from contragrad.networks.architectures import HAND_ENGINEERED
from contragrad.networks.inputs import FREE_REPLAYS
from contragrad.reference import architecture
from contragrad.settings.choices import Objective, Source
from contragrad.settings.config import StudyConfig

RIVAL = "hand-engineered-b"
"""The architecture of the row `hand-engineered`; the reference has the other.

Source: section 4.2, appendix A.
"""

FilterName = Literal["jpeg", "bilateral"]
Search = Literal["evolved", "random", "coevolved"]
SEARCHES: tuple[Search, ...] = get_args(Search)


@dataclass(frozen=True, slots=True)
class Found:
    """What searches have found.

    Args:
        evolved: the last population of Algorithm 1.
        random: that of random search with as many evaluations, if it was run.
        coevolved: that of the last round of co-evolution with as many evaluations, if it was run.
        joined: whom its networks were trained against, surrogates that had joined among them.
    """

    evolved: Sequence[Member]
    random: Sequence[Member] = ()
    coevolved: Sequence[Member] = ()
    joined: tuple[Source, ...] | None = None

    def of(self, search: Search) -> Sequence[Member]:
        """The population of a search."""
        return {"evolved": self.evolved, "random": self.random, "coevolved": self.coevolved}[search]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network of a table comes about.

    Args:
        of: whose architecture, and whose stream of random numbers: `reference`, `hand-engineered`, `another`
            (the reference's architecture from another seed), or what a search found.
        rank: which of those that a search has found, by fitness; 1 is the best.
        objective: what it is trained for; None is the reference itself.
        sources: against whom; None are the study's, or those of the co-evolution that found it.
        together: whether it is deployed with the surrogates among them, as an ensemble.
        filter: what its images go through first.
    """

    of: Literal["reference", "hand-engineered", "another"] | Search
    rank: int = 1
    objective: Objective | None = None
    sources: tuple[Source, ...] | None = None
    together: bool = False
    filter: FilterName | None = None

    def is_chosen(self, own: Objective) -> bool:
        """Whether its weights may be those of its best epoch, in a study whose objective is `own`.

        Not without a defence, unless that is what the study trains for: to choose by adversarial accuracy
        would be one. The reference and its copy from another seed keep their last weights in any case.
        """
        if self.objective is None or self.of == "another":
            return False
        return self.objective != "cross-entropy" or own == "cross-entropy"

    def training(self, name: str, config: StudyConfig, found: Found) -> FullTraining | None:
        """The training of the network, called `name`; None if it is the reference itself.

        Defended networks are trained for as many epochs as the evolved networks together with their
        refinement, or at most so many where there is a patience, those of free adversarial training for as
        many steps, unless the evolved networks are trained by it too. The reference from another seed is
        trained just as the reference is, or would be if its weights were not given; a network without a
        defence keeps its last weights, for to choose them by adversarial accuracy would be one.

        Deviates: the paper refines every network of the population, each for as many epochs more.

        Raises:
            ValueError: if the searches have not found so many networks.
        """
        if self.objective is None:
            return None
        if self.of == "another":
            return replace(ordinary(config), name=name)
        text, seed = self._network(config, found)
        epochs = max(member.trial.epochs for member in best(found.evolved, config.refine.networks))
        epochs += config.refine.epochs
        own = config.training.objective
        if self.objective == "free-adversarial" and own != "free-adversarial":
            epochs = -(-epochs // FREE_REPLAYS)
        chosen = self.is_chosen(own)
        return FullTraining(
            name=name,
            architecture=text,
            objective=self.objective,
            epochs=epochs,
            seed=seed,
            sources=found.joined if self.of == "coevolved" else self.sources,
            together=self.together,
            keep=config.refine.keep if chosen else "last",
            patience=config.refine.patience if chosen else None,
        )

    def _network(self, config: StudyConfig, found: Found) -> tuple[str, int]:
        """Its architecture's text and its seed."""
        if self.of in SEARCHES:
            ranked = best(found.of(self.of), self.rank)
            if len(ranked) < self.rank:
                raise ValueError(f"there are {len(ranked)} {self.of} networks, not {self.rank}")
            trial = ranked[-1].trial
            return str(trial.genome), trial_seed(trial)
        rival = self.of == "hand-engineered"
        text = str(HAND_ENGINEERED[RIVAL]) if rival else architecture(config.reference)
        return text, stream_seed(config.seed, "baseline", self.of)


def best(population: Sequence[Member], count: int) -> list[Member]:
    """The members of the highest fitness, the first one on ties; those that were given up come last."""

    def order(member: Member) -> tuple[float, bool]:
        return -member.outcome.fitness, isinstance(member.outcome, Abandoned)

    return sorted(population, key=order)[:count]


def refined(config: StudyConfig, population: Sequence[Member]) -> int:
    """How many of a population are trained in full: none that would end every process again."""
    bearable = sum(not isinstance(member.outcome, Abandoned) for member in population)
    return min(config.refine.networks, bearable)


def main_job_of(config: StudyConfig, population: Sequence[Member]) -> dict[str, Recipe]:
    """The networks of a study whose search ends with that population, by name."""
    return main_job(config.training.objective, refined(config, population), config.refine.together)


def label(objective: Objective) -> str:
    """What an objective is called in a network's name."""
    return "GM" if objective == "gm" else objective


TOGETHER = ", together"
"""What the name of a network ends with that is deployed as an ensemble with its surrogates."""

UNDEFENDED = "reference, another seed"
"""An ordinary network: what transfer is without any defence."""


def ordinary(config: StudyConfig) -> FullTraining:
    """The training of the ordinary network, which tables and audits share."""
    return FullTraining(
        name=UNDEFENDED,
        architecture=architecture(config.reference),
        objective="cross-entropy",
        epochs=config.reference.epochs,
        seed=stream_seed(config.seed, "baseline", "another"),
    )


def main_job(own: Objective, networks: int, together: bool = False) -> dict[str, Recipe]:
    """The networks of the paper's Table 4, by name, trained for a study's own objective.

    Args:
        own: that objective.
        networks: how many evolved ones there are.
        together: whether those trained for it are deployed with the surrogates among their sources.

    Source: section 4, NE+GM networks and baselines; section 4.2.1.
    Deviates: beside them stands an ordinary network of the reference's architecture, which tells what of a
        resistance to transferred examples needs no defence.
    """
    suffix = label(own)
    defended = {
        f"reference+{suffix}": Recipe(of="reference", objective=own),
        f"hand-engineered+{suffix}": Recipe(of="hand-engineered", objective=own),
        **{
            f"NE+{suffix} {rank}": Recipe(of="evolved", rank=rank, objective=own)
            for rank in range(1, networks + 1)
        },
    }
    if together:
        defended = {f"{name}{TOGETHER}": replace(each, together=True) for name, each in defended.items()}
    return {
        "reference": Recipe(of="reference"),
        **defended,
        UNDEFENDED: Recipe(of="another", objective="cross-entropy"),
    }


SEVERAL: tuple[Source, ...] = ("reference", "another-seed", "hand-engineered-b")
"""Ordinary networks."""

SURROGATES: tuple[Source, ...] = ("reference", "surrogate", "surrogate")
"""The reference, and what an attacker would train against it, and against both."""

KEY: tuple[Source, ...] = ("reference", "key")
"""The reference, and what no surrogate shares that is trained from another seed."""

RECIPES: dict[str, Recipe] = {
    # The paper's.
    "reference": Recipe(of="reference"),
    "reference+GM": Recipe(of="reference", objective="gm"),
    "hand-engineered+GM": Recipe(of="hand-engineered", objective="gm"),
    "NE+GM 1": Recipe(of="evolved", objective="gm"),
    "NE+GM 2": Recipe(of="evolved", rank=2, objective="gm"),
    "JPEG compression": Recipe(of="reference", filter="jpeg"),
    "bilateral filtering": Recipe(of="reference", filter="bilateral"),
    "free adversarial training": Recipe(of="reference", objective="free-adversarial"),
    "fast adversarial training": Recipe(of="reference", objective="fast-adversarial"),
    # What transfer is without any defence, and what evolution is worth.
    UNDEFENDED: Recipe(of="another", objective="cross-entropy"),
    "NE 1 without GM": Recipe(of="evolved", objective="cross-entropy"),
    "reference without GM": Recipe(of="reference", objective="cross-entropy"),
    "random search+GM": Recipe(of="random", objective="gm"),
    # Other objectives, ref. [23] and PubDef.
    "reference+orthogonal": Recipe(of="reference", objective="orthogonal"),
    "NE 1+orthogonal": Recipe(of="evolved", objective="orthogonal"),
    "random search+orthogonal": Recipe(of="random", objective="orthogonal"),
    "hand-engineered+orthogonal": Recipe(of="hand-engineered", objective="orthogonal"),
    "reference+fixed-adversarial": Recipe(of="reference", objective="fixed-adversarial"),
    "reference+fixed-adversarial+GM": Recipe(of="reference", objective="fixed-adversarial+gm"),
    "NE 1+fixed-adversarial": Recipe(of="evolved", objective="fixed-adversarial"),
    "NE 1+fixed-adversarial+GM": Recipe(of="evolved", objective="fixed-adversarial+gm"),
    # Against attackers who know the recipe.
    "reference+orthogonal, several": Recipe(of="reference", objective="orthogonal", sources=SEVERAL),
    "reference+fixed-adversarial, several": Recipe(
        of="reference", objective="fixed-adversarial", sources=SEVERAL
    ),
    "reference+orthogonal, surrogates": Recipe(of="reference", objective="orthogonal", sources=SURROGATES),
    "reference+fixed-adversarial, surrogates": Recipe(
        of="reference", objective="fixed-adversarial", sources=SURROGATES
    ),
    "reference+orthogonal, together": Recipe(
        of="reference", objective="orthogonal", sources=SURROGATES, together=True
    ),
    "reference+GM, key": Recipe(of="reference", objective="gm", sources=KEY),
    "reference+orthogonal, key": Recipe(of="reference", objective="orthogonal", sources=KEY),
    "mixed adversarial training": Recipe(of="reference", objective="mixed-adversarial"),
    "mixed PGD adversarial training": Recipe(of="reference", objective="mixed-pgd-adversarial"),
    "reference+mixed+orthogonal": Recipe(of="reference", objective="mixed-adversarial+orthogonal"),
    "ensemble adversarial training": Recipe(
        of="reference", objective="ensemble-adversarial", sources=SEVERAL
    ),
    "reference+ensemble+orthogonal": Recipe(
        of="reference", objective="ensemble-adversarial+orthogonal", sources=SEVERAL
    ),
    "NE 1+mixed": Recipe(of="evolved", objective="mixed-adversarial"),
    "coevolved+orthogonal": Recipe(of="coevolved", objective="orthogonal"),
    "coevolved+orthogonal, together": Recipe(of="coevolved", objective="orthogonal", together=True),
    "NE 1+ensemble+orthogonal": Recipe(
        of="evolved", objective="ensemble-adversarial+orthogonal", sources=SEVERAL
    ),
}
"""Name -> recipe.

PubDef is Sitawarin et al., "PubDef: defending against transfer attacks from public models", ICLR 2024. Theirs
trains on the examples of many public networks, ours on those of the one reference.
"""
