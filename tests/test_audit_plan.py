"""What an audit is to run: in which order, what fits into its time, on which images, from which sources."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contragrad.artefacts import Artefacts
from contragrad.audit import sources
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET, TRANSFER, Bout, curve, pgd
from contragrad.audit.attempts import Attempt, Field, Named
from contragrad.audit.bouts import (
    AUTOATTACK,
    SHARE,
    affordable,
    fits,
    fitting,
    gradients,
    left_out_as,
    rounds,
)
from contragrad.audit.braced import Braced
from contragrad.audit.input_gradients import cosines
from contragrad.audit.runner import PROBING, Runner, sample
from contragrad.audit.settings import AuditSettings
from contragrad.audit.sources import ensemble, strangers
from contragrad.audit.target import Target
from contragrad.data.dataset import Examples
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem, excess
from contragrad.jobs.refine import FullTraining
from contragrad.networks.architectures import text_of
from contragrad.networks.ensemble import Ensemble
from contragrad.reference import architecture
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.checks import radius
from contragrad.settings.choices import AttackName, Objective, ReferenceArchitecture, Source
from contragrad.settings.config import AttackSettings, ReferenceSettings, StudyConfig, TrainingSettings
from contragrad.settings.search import Limits, SearchSettings
from contragrad.watch.events import Watcher, nobody
from found import SETTINGS
from strategies import CIFAR, small_settings

quick = settings(max_examples=50)

FAMILIES = {name: f"torchvision {name}" for name in sources.FAMILIES}


@st.composite
def depths(draw: st.DrawFn) -> AuditSettings:
    count = st.integers(1, 6)
    return AuditSettings(
        epsilon=draw(st.sampled_from((Fraction(1, 255), Fraction(8, 255), Fraction(1, 3), Fraction(1)))),
        steps=draw(count),
        restarts=draw(count),
        queries=draw(count),
        surrogates=draw(count),
    )


def architectures(depth: AuditSettings) -> dict[str, str]:
    """Of all sources that are trained; the reference has no skips that SGM knows."""
    names = {name for attacker in ATTACKERS for name in attacker.sources(depth)} - {REFERENCE, TARGET}
    return dict.fromkeys(names, "conv(8,3) fc(4)") | FAMILIES


# The order.


@quick
@given(depths())
def test_every_attackers_first_bout_comes_before_anyones_second(depth: AuditSettings) -> None:
    found = rounds(depth, architectures(depth))
    assert [key for key, _ in found[0]] == [attacker.key for attacker in ATTACKERS]
    for number, bouts in enumerate(found):
        keys = [key for key, _ in bouts]
        assert len(set(keys)) == len(keys)
        late = {bout.late for _, bout in bouts}
        assert len(late) == 1
        # Who has a bout in a round had one in each before it; late ones come when nobody has others.
        before = found[number - 1]
        first_late = late == {True} and not before[0][1].late
        assert number == 0 or first_late or set(keys) <= {key for key, _ in before}
        assert late == {True} or number == 0 or not before[0][1].late


@quick
@given(depths())
def test_every_bout_is_fought_once_and_an_attackers_in_his_order(depth: AuditSettings) -> None:
    texts = architectures(depth) | {REFERENCE: "torchvision resnet18"}
    found = [pair for bouts in rounds(depth, texts) for pair in bouts]
    for attacker in ATTACKERS:
        assert [bout for key, bout in found if key == attacker.key] == attacker.bouts(depth)
    assert len(found) == sum(len(attacker.bouts(depth)) for attacker in ATTACKERS)


@quick
@given(depths())
def test_no_attempt_is_planned_twice(depth: AuditSettings) -> None:
    for attacker in ATTACKERS:
        attempts = [attempt for bout in attacker.bouts(depth) for attempt in bout.attempts]
        assert len(set(attempts)) == len(attempts)


@quick
@given(depths())
def test_what_is_tried_on_a_networks_own_surrogates_is_tried_on_all_of_them_together_too(
    depth: AuditSettings,
) -> None:
    for attacker in ATTACKERS:
        alone = {bout.source: set[str]() for bout in attacker.bouts(depth)}
        for bout in attacker.bouts(depth):
            alone[bout.source] |= {attempt.attack.name for attempt in bout.attempts}
        joined = {attempt.attack.name for bout in attacker.joined_bouts(depth) for attempt in bout.attempts}
        assert not joined or all(names == joined for names in alone.values())
        if attacker.key in ("undefended twin", "distillation", "recipe", "recipe and architecture"):
            assert all(names == {"linf-pgd", "mi-fgsm", "di-fgsm", "vmi-fgsm"} for names in alone.values())
    assert all(each.joined for each in ATTACKERS if each.key.startswith("recipe"))


def test_late_attempts_wait_until_all_have_had_all_of_their_sources() -> None:
    found = [pair for bouts in rounds(SETTINGS, architectures(SETTINGS)) for pair in bouts]
    first = next(place for place, (_, bout) in enumerate(found) if bout.late)
    assert all(bout.late for _, bout in found[first:])
    had = {bout.source for _, bout in found[:first]}
    assert {bout.source for _, bout in found[first:]} <= had
    assert ("recipe and architecture", sources.surrogate(SETTINGS.surrogates)) in {
        (key, bout.source) for key, bout in found[:first]
    }


def test_a_late_bout_is_missed_by_its_attacks_and_a_source_that_is_not_there_by_its_name() -> None:
    attack = replace(pgd(SETTINGS), name="vmi-fgsm")
    late = Bout(source="a source", attempts=(Attempt(source="a source", attack=attack),), late=True)
    assert left_out_as("recipe", late) == "recipe: vmi-fgsm on a source"
    assert left_out_as("recipe", replace(late, late=False)) == "a source"
    assert fitting(late, {"a source": "conv(8,3) fc(4)"}) == late
    assert left_out_as("recipe", fitting(late, {})) == "a source"


def test_autoattack_waits_until_all_have_had_their_turn() -> None:
    first, second, *_ = rounds(SETTINGS, {})
    assert all(attempt.attack.name != "autoattack" for _, bout in first for attempt in bout.attempts)
    assert [
        attempt.attack.name for key, bout in second if key == "white box" for attempt in bout.attempts
    ] == ["autoattack"]


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("torchvision resnet18", True),
        ("torchvision resnet34", True),
        ("torchvision densenet121", True),
        ("torchvision vgg16_bn", False),
        ("torchvision squeezenet1_1", False),
        ("conv(8,3) fc(4)", False),
        ("factory torchvision.models:resnet18", False),
        (None, False),
    ],
)
def test_sgm_is_tried_where_torchvisions_skips_are(text: str | None, there: bool) -> None:
    found = rounds(SETTINGS, {} if text is None else {REFERENCE: text})
    bout = next(bout for bouts in found for key, bout in bouts if key == "stronger transfer")
    names = [attempt.attack.name for attempt in bout.attempts]
    assert names == [name for name in TRANSFER if there or name != "sgm"]


@quick
@given(depths())
def test_sgm_alone_depends_on_the_source(depth: AuditSettings) -> None:
    for attacker in ATTACKERS:
        for bout in attacker.bouts(depth):
            for attempt in bout.attempts:
                assert fits(attempt, "conv(8,3) fc(4)") == (attempt.attack.name != "sgm")
                assert fits(attempt, "torchvision resnet18")


@quick
@given(depths())
def test_the_curve_ends_at_the_whole_range_of_a_pixel_and_leaves_the_stated_epsilon_out(
    depth: AuditSettings,
) -> None:
    epsilons = [attempt.attack.epsilon for attempt in curve(TARGET, depth)]
    assert epsilons == sorted(set(epsilons))
    assert depth.epsilon not in epsilons
    assert max(*epsilons, depth.epsilon) == 1
    assert {*epsilons, depth.epsilon} >= {depth.epsilon / 4, depth.epsilon / 2}


# What fits.

COSTS = st.lists(st.floats(0, 1000), max_size=8)


@given(COSTS, st.floats(-10, 3000))
def test_what_is_chosen_never_exceeds_the_room(costs: list[float], left: float) -> None:
    chosen = affordable(costs, left)
    assert len(chosen) == len(costs)
    taken = sum(cost for cost, fit in zip(costs, chosen, strict=True) if fit)
    assert taken <= max(0.0, SHARE * left) * (1 + 1e-9)


@given(COSTS)
def test_without_a_limit_all_are_chosen(costs: list[float]) -> None:
    assert affordable(costs, None) == [True] * len(costs)


@given(COSTS, st.floats(0, 3000))
def test_the_cheapest_come_first_and_no_more_would_fit(costs: list[float], left: float) -> None:
    chosen = affordable(costs, left)
    inside = [cost for cost, fit in zip(costs, chosen, strict=True) if fit]
    outside = [cost for cost, fit in zip(costs, chosen, strict=True) if not fit]
    if outside:
        assert max(inside, default=0.0) <= min(outside)
        assert sum(inside) + min(outside) > SHARE * left * (1 - 1e-9)


@given(COSTS, st.floats(1e-3, 3000))
def test_what_costs_nothing_fits_while_time_is_left(costs: list[float], left: float) -> None:
    assert affordable([*costs, 0.0], left)[-1]


@given(COSTS)
def test_when_time_is_up_only_what_is_there_already_fits(costs: list[float]) -> None:
    assert affordable([*costs, 0.0], -1e-3) == [cost == 0 for cost in [*costs, 0.0]]


# What attempts cost.


def attempt(name: AttackName = "linf-pgd", steps: int = 12, **changes: Any) -> Attempt:
    return Attempt(source=REFERENCE, attack=AttackSettings(name=name, steps=steps), **changes)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (attempt("fgsm"), 1),
        (attempt("linf-pgd"), 12),
        (attempt("l2-pgd"), 12),
        (attempt("mi-fgsm"), 12),
        (attempt("sgm"), 12),
        (attempt("vmi-fgsm"), 72),
        (attempt(way="reversed"), 12),
        (attempt("fgsm", way="reversed"), 1),
        (attempt(way="noise"), 0),
        (attempt(way="queries"), 4),
        (attempt(way="labels"), 4),
        (attempt(restart=3), 12),
    ],
    ids=str,
)
def test_gradients_are_counted_for_an_image(one: Attempt, expected: float) -> None:
    assert gradients([one]) == expected
    assert gradients([one], firm=0.0) == expected
    assert gradients([one, one]) == 2 * expected


@given(st.floats(0, 1), st.floats(0, 1))
def test_autoattack_takes_longer_where_the_network_is_firm(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = [gradients([attempt("autoattack")], firm) for firm in (0.0, low, high, 1.0)]
    assert found == sorted(found)
    assert found[0] == AUTOATTACK[0]
    assert found[-1] == sum(AUTOATTACK)
    assert gradients([attempt("autoattack")]) == found[-1]


def test_nothing_costs_nothing() -> None:
    assert gradients([]) == 0


# The settings.


@pytest.mark.parametrize("name", ["images", "steps", "restarts", "queries", "distilled", "surrogates"])
@pytest.mark.parametrize("value", [0, -3])
def test_a_count_below_one_is_refused(name: str, value: int) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(UserError, match=f"^{value} is too small") as caught:
        AuditSettings(**wrong)
    assert caught.value.where == f"--{name}"
    right: dict[str, Any] = {name: 1}
    assert getattr(AuditSettings(**right), name) == 1


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"tolerated": 0.0}, "--tolerated"),
        ({"tolerated": 0.5}, "--tolerated"),
        ({"tolerated": -0.1}, "--tolerated"),
        ({"tolerated": float("nan")}, "--tolerated"),
        ({"epsilon": Fraction(0)}, "--epsilon"),
        ({"epsilon": Fraction(-1, 255)}, "--epsilon"),
        ({"epsilon": Fraction(256, 255)}, "--epsilon"),
        ({"l2_epsilon": Fraction(0)}, "--l2-epsilon"),
        ({"minutes": 0.0}, "--budget"),
        ({"minutes": -1.0}, "--budget"),
        ({"minutes": float("nan")}, "--budget"),
        ({"minutes": float("inf")}, "--budget"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_option(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as caught:
        AuditSettings(**wrong)
    assert caught.value.where == where
    assert caught.value.remedy


def test_settings_at_their_borders_are_taken() -> None:
    AuditSettings(epsilon=Fraction(1), l2_epsilon=Fraction(30), tolerated=0.499, minutes=0.01)
    assert AuditSettings().minutes is None


@pytest.mark.parametrize(
    ("epsilon", "expected"),
    [
        (Fraction(8, 255), "8/255"),
        (Fraction(1), "255/255"),
        (Fraction(2, 85), "6/255"),
        (Fraction(1, 2), "1/2"),
        (Fraction("0.03"), "3/100"),
    ],
)
def test_a_radius_is_written_in_grey_levels_where_they_are_whole(epsilon: Fraction, expected: str) -> None:
    assert radius(epsilon) == expected


@given(st.fractions(0, 1))
def test_a_radius_can_be_read_again(epsilon: Fraction) -> None:
    assert Fraction(radius(epsilon)) == epsilon


# Sources.

TINY = small_settings(population=3, minimum_distance=0.0, limits=Limits(blocks=7))


@quick
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_strangers_are_distinct_within_the_limits_and_always_the_same(seed: int, count: int) -> None:
    found = strangers(TINY, CIFAR, seed, count)
    assert len(set(found)) == len(found) == count
    for text in found:
        genome = parse(text)
        assert str(genome) == text
        assert excess(genome, CIFAR, TINY.limits) is None
        assert genome.hidden == TINY.hidden
    assert strangers(TINY, CIFAR, seed, count) == found
    # Who draws more draws the same ones first.
    assert strangers(TINY, CIFAR, seed, count + 1)[:count] == found


def test_strangers_of_another_seed_are_others() -> None:
    assert strangers(TINY, CIFAR, 1, 5) != strangers(TINY, CIFAR, 2, 5)


@pytest.mark.parametrize("seed", range(5))
def test_all_of_a_small_space_are_drawn_once_each(seed: int) -> None:
    small = small_settings(
        population=4,
        minimum_distance=0.0,
        initial_blocks_min=1,
        initial_blocks_max=1,
        channels=(4, 8),
        kernels=(1, 3),
    )
    texts = [f"conv({channels},{kernel}) fc(4)" for channels in (4, 8) for kernel in (1, 3)]
    assert sorted(strangers(small, CIFAR, seed, 4)) == texts


def test_a_space_that_has_no_more_architectures_is_named() -> None:
    single = SearchSettings(
        population=1, initial_blocks_min=1, initial_blocks_max=1, channels=(8,), kernels=(3,), hidden=4
    )
    assert strangers(single, CIFAR, 0, 1) == ["conv(8,3) fc(4)"]
    with pytest.raises(UserError, match="has 1 architectures to draw, not 2") as caught:
        strangers(single, CIFAR, 0, 2)
    assert caught.value.where == "--surrogates"


def trained(
    reference: str = "hand-engineered-a",
    against: tuple[Source, ...] = ("reference",),
    objective: Objective = "fixed-adversarial",
) -> tuple[dict[str, FullTraining], dict[str, str], str]:
    """The sources that an audit trains, those that its target has met, and the reference's text."""
    settings = ReferenceSettings(architecture=cast(ReferenceArchitecture, reference))
    config = StudyConfig(reference=settings, training=TrainingSettings(sources=against), search=TINY)
    workspace = Workspace(folder=Path("nowhere"), config=config, data="data", problem=CIFAR, weights=None)
    target = Target(
        name="target",
        network=nn.Identity(),
        fingerprint="target",
        architecture="conv(8,3) fc(4)",
        objective=objective,
        epochs=1,
        keep="last",
        seed=None,
        weights=Path("nowhere"),
    )
    own = architecture(settings)
    return sources.trainings(workspace, target, 1), sources.acquainted(config, target), own


ORDINARY = (sources.ANOTHER, sources.PLAIN, sources.OTHER_ARCHITECTURE, *sources.FAMILIES)


def test_all_ordinary_networks_are_strangers_to_who_was_trained_against_the_reference_alone() -> None:
    tasks, seen, _ = trained()
    assert not seen
    assert {*ORDINARY, sources.ADVERSARIAL} <= tasks.keys()
    assert tasks[sources.OTHER_ARCHITECTURE].architecture == text_of("hand-engineered-b")


@pytest.mark.parametrize("reference", get_args(ReferenceArchitecture))
def test_no_unseen_source_has_the_references_architecture_but_its_own_kin(reference: str) -> None:
    tasks, seen, own = trained(reference)
    kin = {sources.ANOTHER, sources.ADVERSARIAL}
    assert all(
        (tasks[name].architecture == own) == (name in kin) for name in {*ORDINARY, *kin} & tasks.keys()
    )
    assert seen.keys() == {*ORDINARY} - tasks.keys()
    assert set(seen.values()) <= {sources.SAME}
    # Nobody's kind is lost.
    assert kin | {sources.OTHER_ARCHITECTURE} <= tasks.keys()


@quick
@given(
    st.sampled_from(get_args(ReferenceArchitecture)),
    st.sets(st.sampled_from(("another-seed", *get_args(ReferenceArchitecture)))),
    st.booleans(),
)
def test_no_unseen_source_is_one_that_the_target_was_trained_against(
    reference: str, named: set[str], surrogate: bool
) -> None:
    against = (
        "reference",
        *sorted(named),
        *(["surrogate", "surrogate conv(8,3) fc(4)"] if surrogate else []),
    )
    tasks, seen, _ = trained(reference, against)
    left = {name: task.architecture for name, task in tasks.items() if name in ORDINARY}
    # The ordinary network is there to compare with, whether it is a source or not.
    assert not {text_of(name) for name in named - {"another-seed"}} & set(left.values()) - {
        left[sources.ANOTHER]
    }
    assert (sources.ANOTHER in seen) == ("another-seed" in named)
    assert sources.OTHER_ARCHITECTURE in tasks
    assert len({*left.values()}) == len(left)
    # Each is said to be left out, under the name that it has in the settings or the audit.
    for name in named:
        assert seen[sources.ANOTHER if name == "another-seed" else name] == sources.AGAINST
    assert not seen.keys() & tasks.keys() - {sources.ANOTHER}


def test_who_was_trained_against_nobody_has_met_none_of_the_settings_sources() -> None:
    tasks, seen, _ = trained(against=("reference", "another-seed", "plain"), objective="cross-entropy")
    assert not seen
    assert set(ORDINARY) <= tasks.keys()


class Fixed(nn.Module):
    """A linear network without randomness."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights


def fixed(seed: int, classes: int = 3, scale: float = 1.0) -> Fixed:
    return Fixed(scale * torch.randn(4, classes, generator=torch.Generator().manual_seed(seed)))


@quick
@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=4))
def test_an_ensemble_answers_with_the_mean_of_log_probabilities(seeds: list[int]) -> None:
    networks = [fixed(seed) for seed in seeds]
    images = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(5, 3, dtype=torch.float64)
    for network in networks:
        for image in range(5):
            logits = network(images)[image].double()
            expected[image] += (logits - logits.exp().sum().log()) / len(networks)
    torch.testing.assert_close(Ensemble(networks)(images).double(), expected, rtol=1e-5, atol=1e-5)


def test_a_member_that_is_certain_does_not_hide_the_others_gradients() -> None:
    certain, other = fixed(1, scale=1e4), fixed(2)
    images = torch.rand(5, 1, 2, 2, requires_grad=True)
    alone = torch.autograd.grad(other(images).log_softmax(1)[:, 0].sum(), images)[0]
    both = torch.autograd.grad(Ensemble([certain, other])(images)[:, 0].sum(), images)[0]
    own = torch.autograd.grad(certain(images).log_softmax(1)[:, 0].sum(), images)[0]
    torch.testing.assert_close(both, (own + alone) / 2, rtol=1e-4, atol=1e-3)


def test_an_ensemble_is_named_by_its_members_and_is_in_evaluation_mode() -> None:
    one, other = Named(fixed(1), "one"), Named(fixed(2), "other")
    found = ensemble([one, other])
    assert not found.network.training
    assert ensemble([one, other]).fingerprint == found.fingerprint
    assert ensemble([one, Named(fixed(2), "another")]).fingerprint != found.fingerprint


# The images.


@quick
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**32))
def test_a_sample_is_a_subset_without_repetition_and_always_the_same(
    there: int, count: int, seed: int
) -> None:
    images = torch.arange(there, dtype=torch.float32).reshape(there, 1, 1, 1) / 100
    labels = torch.arange(there) * 7
    found = sample(Examples(images, labels), count, seed)
    assert len(found) == min(there, count)
    chosen = (found.labels // 7).tolist()
    assert len(set(chosen)) == len(chosen)
    assert torch.equal(found.images, images[chosen])
    assert set(found.labels.tolist()) <= set(labels.tolist())
    again = sample(Examples(images, labels), count, seed)
    assert torch.equal(again.labels, found.labels)
    # A larger one begins with the smaller one.
    assert torch.equal(sample(Examples(images, labels), count + 1, seed).labels[: len(found)], found.labels)


@quick
@given(st.integers(0, 2**32), st.sampled_from((1e-20, 1e-3, 1.0, 1e6)))
def test_a_cosine_stays_in_its_range_and_is_one_with_itself(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(20, 3, 4, 4, generator=generator) * scale
    found = cosines(own, own)
    assert float(found.max()) <= 1, "a histogram from -1 to 1 would lose it"
    torch.testing.assert_close(found, torch.ones(20))
    torch.testing.assert_close(cosines(own, -own), -torch.ones(20))
    assert not cosines(own, torch.zeros_like(own)).any()


# A round, with networks that need no training.


@dataclass
class Prepared:
    """Sources that are there, or come about at once; each is said to take so many seconds."""

    settings: AuditSettings
    seconds: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    too_long: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    watch: Watcher = nobody
    networks: dict[str, Named] = field(
        default_factory=lambda: {REFERENCE: Named(fixed(1), "1"), TARGET: Named(fixed(2), "2")}
    )

    def reachable(self, name: str) -> bool:
        return name not in self.missing

    def fingerprint_of(self, name: str) -> str:
        return self.networks[name].fingerprint if name in self.networks else name

    def seconds_to_have(self, name: str) -> float:
        return 0.0 if name in self.networks else self.seconds.get(name, 1.0)

    def seconds_for_gradient(self, name: str) -> float:
        return 1.0

    def get(self, names: Sequence[str]) -> None:
        self.asked += names
        for name in names:
            self.networks.setdefault(name, Named(fixed(len(name)), name))


@pytest.fixture
def arena(tmp_path: Path) -> Field:
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return Field(
        examples=Examples(images, torch.zeros(6, dtype=torch.int64)),
        identity="test",
        target=Named(fixed(2), "2"),
        seed=0,
        artefacts=Artefacts(tmp_path),
    )


@pytest.fixture
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contragrad.audit.runner.PROBING", 1e-9)


def runner(prepared: Prepared) -> Runner:
    return Runner(arsenal=cast(Arsenal, prepared), begun=time.monotonic())


@pytest.mark.parametrize(("minutes", "expected"), [(None, 60), (1000.0, 21), (100000.0, 60), (1.0, 5)])
def test_gradients_are_measured_on_as_many_images_as_a_quarter_of_the_budget_allows(
    minutes: float | None, expected: int
) -> None:
    found = runner(Prepared(replace(SETTINGS, images=60, minutes=minutes)))
    assert found.probing() == expected
    if minutes is not None:
        left = found.left()
        assert left is not None
        assert left == pytest.approx(60 * minutes - expected * 2 * PROBING, abs=5)


def bout(source: str, steps: int = 2) -> Bout:
    attack = replace(pgd(SETTINGS), steps=steps)
    return Bout(source=source, attempts=(Attempt(source=source, attack=attack),))


@pytest.mark.usefixtures("no_probes")
def test_without_a_limit_a_round_is_fought_and_kept(arena: Field) -> None:
    prepared = Prepared(SETTINGS)
    found = runner(prepared)
    found._round([("reference", bout(REFERENCE)), ("recipe", bout("stranger"))], arena)
    assert prepared.asked == [REFERENCE, "stranger"]
    assert not prepared.missing
    assert {key for key, tried in found.tried.items() if tried} == {"reference", "recipe"}
    assert arena.made(bout(REFERENCE).attempts[0], "1")
    assert not arena.made(bout(REFERENCE).attempts[0], "another")
    assert not arena.made(bout(REFERENCE, steps=3).attempts[0], "1")


@pytest.mark.usefixtures("no_probes")
def test_what_does_not_fit_is_named_with_its_time_and_its_source_is_not_made(arena: Field) -> None:
    prepared = Prepared(replace(SETTINGS, minutes=1.0), seconds={"stranger": 120.0})
    found = runner(prepared)
    found._round([("recipe", bout("stranger")), ("undefended twin", bout("twin"))], arena)
    assert prepared.asked == ["twin"]
    assert list(prepared.missing) == ["stranger"]
    assert prepared.missing["stranger"] == "it would take about 2.2 minutes"
    assert prepared.too_long["stranger"] == pytest.approx(132, abs=1)
    assert not found.tried["recipe"]


@pytest.mark.usefixtures("no_probes")
def test_a_source_that_is_there_is_not_missing_because_an_attack_on_it_does_not_fit(arena: Field) -> None:
    prepared = Prepared(replace(SETTINGS, minutes=1.0))
    found = runner(prepared)
    queries = Attempt(source=TARGET, attack=replace(pgd(SETTINGS), steps=600), way="queries")
    found._round(
        [
            ("reference", bout(REFERENCE)),
            ("stronger transfer", bout(REFERENCE, steps=50)),
            ("queries", Bout(source=TARGET, attempts=(queries,))),
        ],
        arena,
    )
    assert list(prepared.missing) == ["stronger transfer: linf-pgd", "queries: square"]
    assert len(found.tried["reference"]) == 1
    assert not found.tried["stronger transfer"]


class Reachable(Prepared):
    """Sources that can all be had, if there is time."""

    def reachable(self, name: str) -> bool:
        return True


@pytest.mark.usefixtures("no_probes")
def test_of_a_source_that_is_not_there_it_is_said_once(arena: Field) -> None:
    prepared = Reachable(replace(SETTINGS, minutes=1.0), seconds={"stranger": 120.0})
    found = runner(prepared)
    waiting = found._round([("recipe", bout("stranger"))], arena)
    late = replace(bout("stranger", steps=3), late=True)
    waiting = found._round([*waiting, ("recipe", late)], arena)
    assert [pair[1] for pair in waiting] == [bout("stranger"), late]
    assert list(prepared.missing) == ["stranger"]
    # Once it is there, what is tried on it late is missed by its name.
    prepared.networks["stranger"] = Named(fixed(3), "stranger")
    prepared.settings = replace(SETTINGS, minutes=1e-9)
    assert found._round(waiting, arena) == waiting
    assert "recipe: linf-pgd on stranger" in prepared.missing


class Broken(Fixed):
    """Its gradient is infinite at black pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.sqrt())


@pytest.mark.usefixtures("no_probes")
def test_an_attempt_that_meets_gradients_that_are_not_finite_is_missing_and_others_are_made(
    arena: Field,
) -> None:
    arena.examples.images[0, 0, 0, 0] = 0
    prepared = Prepared(SETTINGS)
    prepared.networks[TARGET] = Named(Broken(fixed(2).weights), "broken")
    found = runner(prepared)
    queries = Attempt(source=TARGET, attack=pgd(SETTINGS), way="queries")
    mixed = Bout(source=TARGET, attempts=(*bout(TARGET).attempts, *bout(TARGET, steps=3).attempts, queries))
    found._round([("white box", mixed), ("reference", bout(REFERENCE))], arena)
    own = "white box: linf-pgd on the network itself"
    assert prepared.missing == {own: "linf-pgd met gradients that are not finite"}
    assert [each.attempt for each in found.tried["white box"]] == [queries]
    assert len(found.tried["reference"]) == 1


@pytest.mark.usefixtures("no_probes")
def test_gradients_are_not_asked_of_a_network_that_has_none(arena: Field) -> None:
    prepared = Prepared(SETTINGS)
    prepared.networks[TARGET] = Named(Braced(fixed(2), blind=True), "2")
    found = runner(prepared)
    turned = Attempt(source=TARGET, attack=pgd(SETTINGS), way="reversed")
    noise = replace(turned, way="noise")
    mixed = Bout(source=TARGET, attempts=(*bout(TARGET).attempts, turned, noise))
    found._round([("white box", mixed)], arena)
    why = "linf-pgd needs gradients, and the network has none"
    names = ("linf-pgd", "linf-pgd, reversed")
    assert prepared.missing == {f"white box: {name} on the network itself": why for name in names}
    assert [each.attempt for each in found.tried["white box"]] == [noise]


@dataclass(kw_only=True)
class Joining(Reachable):
    """Sources that can be joined only once they are `enough`."""

    enough: bool = False

    def join(self, name: str, members: Sequence[str]) -> bool:
        if self.enough:
            self.get([name])
        return self.enough


@pytest.mark.usefixtures("no_probes")
def test_sources_that_can_be_joined_only_late_are_attacked_by_all_that_was_to_be_tried(arena: Field) -> None:
    joining = [attacker for attacker in ATTACKERS if attacker.joined and attacker.joined_bouts(SETTINGS)]
    assert {bout.late for attacker in joining for bout in attacker.joined_bouts(SETTINGS)} == {False, True}
    late, early = Joining(SETTINGS), Joining(SETTINGS, enough=True)
    for prepared in (late, early):
        found = runner(prepared)
        found._together(arena, False)
        assert prepared.enough == any(found.tried.values())
        prepared.enough = True
        found._together(arena, True)
        for attacker in joining:
            planned = [each for bout in attacker.joined_bouts(SETTINGS) for each in bout.attempts]
            tried = [each.attempt for each in found.tried[attacker.key]]
            assert sorted(map(str, tried)) == sorted(map(str, planned)), "each once"


@pytest.mark.usefixtures("no_probes")
def test_what_was_made_before_takes_no_time(arena: Field) -> None:
    costly = bout(REFERENCE, steps=50)
    plenty = runner(Prepared(SETTINGS))
    plenty._round([("reference", costly)], arena)
    little = Prepared(replace(SETTINGS, minutes=0.1))
    again = runner(little)
    again._round([("reference", costly), ("stronger transfer", bout(REFERENCE, steps=51))], arena)
    assert len(again.tried["reference"]) == 1
    assert list(little.missing) == ["stronger transfer: linf-pgd"]
    assert torch.equal(again.tried["reference"][0].held.right, plenty.tried["reference"][0].held.right)


def test_the_problem_is_the_strangers_too() -> None:
    grey = Problem(1, 8, 8, 10)
    assert all(excess(parse(text), grey, TINY.limits) is None for text in strangers(TINY, grey, 0, 4))
