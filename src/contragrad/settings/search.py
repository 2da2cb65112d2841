"""The settings of Algorithm 1, which are all that `evolution/` knows of a study.

They have no slots because jsonargparse reads the defaults of nested records with `vars`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from contragrad.errors import require, require_at_least
from contragrad.fingerprint import LATER
from contragrad.settings.choices import Schedule, Variation


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a network may grow.

    Args:
        blocks: blocks of a genome, the fully connected head not counted.
        parameters: trainable parameters.
        flops: floating-point operations of one image's forward pass, a multiply-add counted as two.
    """

    blocks: int = 40
    parameters: int = 2_000_000
    flops: int = 200_000_000

    def __post_init__(self) -> None:
        require_at_least(1, "search.limits", self, "blocks", "parameters", "flops")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Algorithm 1: s, n, d, g of its input, and the implementation details of section 4.

    Args:
        population: candidates, s.
        children: children of each candidate in a generation, n.
        minimum_distance: least distance d between the initial candidates' spectra, eq. (3).
        generations: g of Algorithm 1.
        mutations_min: fewest mutations that make a child.
        mutations_max: most mutations that make a child.
        initial_blocks_min: fewest blocks of an initial candidate.
        initial_blocks_max: most blocks of an initial candidate.
        initial: genomes of the initial candidates, as many as the population; drawn if left out.
        epochs: training epochs of a child in the first generations.
        epochs_growth: epochs added each time.
        epochs_growth_every: generations between two additions.
        channels: output channels a convolution may have.
        kernels: kernel sizes a convolution may have.
        hidden: units of the head's hidden layer.
        variation: `mutation` makes a child of its parent; `random` of a newly drawn candidate, by as many
            mutations as generations have passed, which is random search with as many evaluations.
        schedule: `sequential` is Algorithm 1: a slot's children come of whoever stands in it when its turn
            comes. With `generation` they come of whoever stood in it when the generation began, so that many
            workers find work without guessing; replacement is in order and in place with both.
        rungs: shares of a trial's epochs after which its fitness is looked at; a child behind what the
            candidate that it would replace had then is stopped. The paper has none.
        rung_slack: how far behind is not yet behind, in fitness.
        limits: how large a network may grow.
    """

    population: int = 4
    children: int = 2
    minimum_distance: float = 4.0
    generations: int = 50
    mutations_min: int = 4
    mutations_max: int = 5
    initial_blocks_min: int = 2
    initial_blocks_max: int = 10
    initial: tuple[str, ...] = field(default=(), metadata={LATER: True})
    epochs: int = 20
    epochs_growth: int = 5
    epochs_growth_every: int = 10
    channels: tuple[int, ...] = (16, 32, 64, 128)
    kernels: tuple[int, ...] = (1, 3, 5)
    hidden: int = 128
    variation: Variation = field(default="mutation", metadata={LATER: True})
    schedule: Schedule = field(default="sequential", metadata={LATER: True})
    rungs: tuple[float, ...] = field(default=(), metadata={LATER: True})
    rung_slack: float = field(default=0.0, metadata={LATER: True})
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        require_at_least(1, "search", self, "population", "children", "mutations_min", "epochs", "hidden")
        require_at_least(1, "search", self, "initial_blocks_min", "epochs_growth_every")
        require_at_least(0, "search", self, "generations", "epochs_growth")
        for low, high in (
            ("mutations_min", "mutations_max"),
            ("initial_blocks_min", "initial_blocks_max"),
        ):
            require(
                getattr(self, low) <= getattr(self, high),
                f"search.{high}",
                f"{getattr(self, high)} is less than {low}",
                f"{getattr(self, low)} or more",
            )
        require(
            0 <= self.minimum_distance < float("inf"),
            "search.minimum_distance",
            f"{self.minimum_distance} is no distance",
            "a number of 0 or more",
        )
        require(
            all(low < high for low, high in pairwise((0.0, *self.rungs, 1.0))),
            "search.rungs",
            f"{list(self.rungs)} are no shares of the epochs, one after another",
            "ascending numbers between 0 and 1",
        )
        require(
            0 <= self.rung_slack <= 1,
            "search.rung_slack",
            f"{self.rung_slack} is no difference of fitness",
            "a number from 0 to 1",
        )
        for name, fits, remedy in (
            ("channels", lambda size: size >= 1, "one or more positive numbers"),
            ("kernels", lambda size: size >= 1 and size % 2 == 1, "one or more odd numbers"),
        ):
            _require_all(f"search.{name}", getattr(self, name), fits, remedy)
        require(
            len(self.initial) in (0, self.population),
            "search.initial",
            f"{len(self.initial)} genomes are no population of {self.population}",
            "as many genomes as search.population says, or none",
        )


def _require_all(key: str, values: tuple[int, ...], fits: Callable[[int], bool], remedy: str) -> None:
    require(bool(values) and all(map(fits, values)), key, f"{list(values)} cannot be used", remedy)
