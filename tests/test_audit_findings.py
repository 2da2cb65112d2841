"""The figures of an audit against slow loops over images, and who withstands whom by the rule's words."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import comb, sqrt
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from contragrad.audit import attackers, sources
from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET, pgd
from contragrad.audit.attempts import Attempt, Held, Way
from contragrad.audit.checks.transfer import unseen
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.audit.standing import (
    DEFEATED,
    deciding,
    defeated_by,
    doubt,
    is_bounded,
    is_turned,
    l2_doubt,
    misled,
    standing_by,
    standing_of,
    unknown_below,
    withstood,
)
from contragrad.audit.statistics import difference, mcnemar, mean_interval
from contragrad.audit.strength import STRONG, is_strong
from contragrad.evaluate import Share
from contragrad.settings.config import AttackSettings
from found import (
    CORRECT,
    FOOLED,
    IMAGES,
    SETTINGS,
    apart,
    auto_attacked,
    came,
    figures,
    first,
    fought,
    known,
    only,
    planned,
    probed,
    sound,
    without,
)

KEYS = [attacker.key for attacker in ATTACKERS]
SOURCES = (REFERENCE, "another", TARGET)


def masks(images: int) -> st.SearchStrategy[Tensor]:
    bits = st.integers(0, 2**images - 1)
    return bits.map(lambda number: torch.tensor([number >> place & 1 for place in range(images)]).bool())


quick = settings(max_examples=50)


@st.composite
def small_findings(draw: st.DrawFn) -> Findings:
    """A few attempts on a few images, all masks at random."""
    images = draw(st.integers(0, 8))
    ways: st.SearchStrategy[Way] = st.sampled_from(("gradient", "reversed", "queries"))
    attempts = st.builds(
        Tried,
        st.builds(Attempt, source=st.sampled_from(SOURCES), attack=st.just(pgd(SETTINGS)), way=ways),
        st.builds(
            Held,
            right=masks(images),
            source=masks(images),
            linf=st.just(torch.zeros(images)),
            l2=st.just(torch.zeros(images)),
        ),
    )
    return replace(
        sound(),
        clean=draw(masks(images)),
        source_clean={name: draw(masks(images)) for name in SOURCES},
        tried={"recipe": tuple(draw(st.lists(attempts, min_size=1, max_size=4)))},
        extra=(),
    )


# Figures, an image at a time.


def slow_fooled(findings: Findings, tried: Iterable[Tried]) -> Share:
    hits = count = 0
    every = list(tried)
    for image in range(findings.images):
        if not findings.clean[image]:
            continue
        count += 1
        if any(not each.held.right[image] for each in every):
            hits += 1
    return Share(hits, count)


@quick
@given(small_findings())
def test_fooled_are_those_of_the_correct_images_of_which_some_example_misleads(findings: Findings) -> None:
    tried = findings.tried["recipe"]
    for part in (tried, tried[:1], ()):
        assert findings.fooled(part) == slow_fooled(findings, part)


@quick
@given(small_findings())
def test_survivors_are_right_on_the_image_and_on_all_of_its_examples(findings: Findings) -> None:
    tried = findings.tried["recipe"]
    expected = [
        bool(findings.clean[image]) and all(bool(each.held.right[image]) for each in tried)
        for image in range(findings.images)
    ]
    assert findings.survivors(tried).tolist() == expected
    assert findings.survivors(()).tolist() == findings.clean.tolist()


@quick
@given(small_findings())
def test_the_images_are_left_as_they_were(findings: Findings) -> None:
    before = findings.clean.clone()
    findings.survivors(findings.tried["recipe"])
    assert torch.equal(findings.clean, before)


@quick
@given(small_findings())
def test_the_worst_case_is_no_better_than_any_single_attempt(findings: Findings) -> None:
    tried = findings.tried["recipe"]
    together = findings.fooled(tried)
    for each in tried:
        assert findings.fooled([each]).hits <= together.hits
        assert findings.fooled([each]).count == together.count
        assert not (findings.survivors(tried) & ~findings.survivors([each])).any()
    assert together.hits <= sum(findings.fooled([each]).hits for each in tried)


@quick
@given(small_findings())
def test_a_source_is_fooled_on_images_that_it_classifies_correctly_itself(findings: Findings) -> None:
    for each in findings.tried["recipe"]:
        clean = findings.source_clean[each.attempt.source]
        hits = count = 0
        for image in range(findings.images):
            if clean[image]:
                count += 1
                hits += not each.held.source[image]
        assert findings.source_fooled(each) == Share(hits, count)


@quick
@given(small_findings())
def test_what_transfers_is_counted_where_both_are_right_and_the_source_is_fooled(findings: Findings) -> None:
    for each in findings.tried["recipe"]:
        clean = findings.source_clean[each.attempt.source]
        hits = count = 0
        for image in range(findings.images):
            if findings.clean[image] and clean[image] and not each.held.source[image]:
                count += 1
                hits += not each.held.right[image]
        assert findings.transferred(each) == Share(hits, count)


# When an attacker is withstood.


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval by its formula."""
    z = 1.959963984540054
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return centre - half, centre + half


@quick
@given(
    st.integers(1, 2000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))),
    st.sampled_from((0.01, 0.1, 0.2, 0.35, 0.49)),
)
def test_the_rule_is_the_ends_of_the_wilson_interval(part: tuple[int, int], tolerated: float) -> None:
    hits, count = part
    low, high = wilson(hits, count)
    assume(abs(high - tolerated) > 1e-9)
    assume(abs(low - DEFEATED) > 1e-9)
    assume(abs(hits / count - tolerated) > 1e-9)
    expected = "defeated" if low >= DEFEATED else "weakened"
    if hits / count < tolerated:
        expected = "withstood" if high <= tolerated else "inconclusive"
    assert standing_by(Share(hits, count), tolerated) == expected


@pytest.mark.parametrize("count", [16, 50, 200])
def test_an_image_more_crosses_the_rules_borders(count: int) -> None:
    found = [standing_by(Share(hits, count), 0.2) for hits in range(count + 1)]
    assert list(dict.fromkeys(found)) == ["withstood", "inconclusive", "weakened", "defeated"]
    last_withstood, last_weakened = found.index("inconclusive") - 1, found.index("defeated") - 1
    assert found.index("weakened") == int(0.2 * count) + 1
    assert wilson(last_withstood, count)[1] <= 0.2 < wilson(last_withstood + 1, count)[1]
    assert wilson(last_weakened, count)[0] < 0.5 <= wilson(last_weakened + 1, count)[0]


def test_few_images_are_no_ground_to_call_a_network_withstanding() -> None:
    # The upper end for none of so many is z² / (n + z²), and z² is 3.84.
    assert standing_by(Share(0, 15), 0.2) == "inconclusive"
    assert standing_by(Share(0, 16), 0.2) == "withstood"


def test_few_images_are_no_ground_to_call_a_network_defeated_either() -> None:
    # The lower end for all of so many is n / (n + z²).
    assert standing_by(Share(1, 1), 0.2) == standing_by(Share(3, 3), 0.2) == "weakened"
    assert standing_by(Share(4, 4), 0.2) == "defeated"
    assert standing_by(Share(2, 3), 0.2) == "weakened"


def test_of_too_few_images_it_is_said_that_they_are() -> None:
    few = replace(figures({"recipe": 0}), clean=first(12))
    assert standing_of(few, "recipe") == "inconclusive"
    assert doubt(few, "recipe").startswith("too few images: 0.0 % [0.0, 24.2]")


def test_without_an_image_to_fool_a_network_is_defeated() -> None:
    assert standing_by(Share(0, 0), 0.2) == "defeated"


def test_an_attacker_who_tried_nothing_was_not_run() -> None:
    assert standing_of(without(sound(), "recipe"), "recipe") == "not run"
    assert standing_of(replace(sound(), tried={}), "recipe") == "not run"


def test_more_that_may_be_tolerated_is_more_that_is_withstood() -> None:
    found = figures({"recipe": 285})
    assert standing_of(found, "recipe") == "weakened"
    lenient = replace(found, settings=replace(SETTINGS, tolerated=0.4))
    assert standing_of(lenient, "recipe") == "withstood"


TRANSFER = [key for key in KEYS if key not in ("reversed", "queries", "white box")]


@pytest.mark.parametrize("key", TRANSFER)
def test_weak_examples_that_fool_nobody_are_inconclusive(key: str) -> None:
    # Of the 980 images that the sources classify correctly.
    strong = next(count for count in range(980) if wilson(count, 980)[0] >= STRONG)
    weak = strong - 1
    assert standing_of(fought(sound(), key, 10, own=strong), key) == "withstood"
    assert standing_of(fought(sound(), key, 10, own=weak), key) == "inconclusive"


INFINITY = ("unseen sources", "undefended twin", "recipe", "recipe and architecture")
"""Attackers all of whose examples are in the white box's ball."""


def beside(white_box: int | None, key: str) -> str:
    """How the target stands against an attacker of weak examples, by what the white box fools."""
    others = {} if white_box is None else {"white box": white_box}
    return standing_of(fought(figures({key: 10, **others}), key, 10, own=1), key)


@pytest.mark.parametrize("key", INFINITY)
def test_weak_examples_are_bounded_by_a_white_box_that_is_withstood(key: str) -> None:
    assert beside(20, key) == "withstood"
    assert beside(300, key) == beside(None, key) == "inconclusive"


def test_a_white_box_whose_gradients_are_hidden_bounds_nobody() -> None:
    for queries, expected in ((29, "withstood"), (30, "inconclusive")):  # one image of a hundred
        found = fought(figures({"recipe": 10, "white box": 20, "queries": queries}), "recipe", 10, own=1)
        assert standing_of(found, "recipe") == expected


def test_a_strong_source_in_another_ball_does_not_vouch_for_the_audits_own() -> None:
    tried = tuple(
        came(each, 10, own=980 if each.attack.name == "l2-pgd" else 1) for each in planned("reference")
    )
    found = replace(figures({}), tried={"reference": tried, "reversed": sound().tried["reversed"]})
    assert standing_of(found, "reference") == standing_of(found, "reversed") == "inconclusive"
    assert "sources are fooled on at most 0.1 %" in doubt(found, "reference")
    assert l2_doubt(found) == ""
    white_box = figures({"white box": 20}).tried["white box"]
    bounded = replace(found, tried={**found.tried, "white box": white_box})
    weak = fought(bounded, "reference", 10, own=1)
    assert standing_of(weak, "reference") == "withstood"
    # The white box has examples in his own ball alone.
    assert "sources are fooled on at most 0.1 %" in l2_doubt(weak)


@pytest.mark.parametrize("key", TRANSFER)
@pytest.mark.parametrize(("fooled", "expected"), [(300, "weakened"), (900, "defeated")])
def test_examples_that_fool_are_conclusive_however_weak(key: str, fooled: int, expected: str) -> None:
    assert standing_of(fought(sound(), key, fooled, own=1), key) == expected


@pytest.mark.parametrize("key", TRANSFER)
def test_one_strong_attempt_is_enough(key: str) -> None:
    attempts = planned(key)
    chosen = [each for each in attempts if each.attack.name != "l2-pgd"][-1]
    tried = tuple(came(each, 10, own=IMAGES if each == chosen else 1) for each in attempts)
    assert standing_of(replace(sound(), tried={key: tried}), key) == "withstood"


def test_turned_perturbations_need_not_fool_their_source() -> None:
    found = sound()
    assert all(found.source_fooled(each).hits == 0 for each in found.tried["reversed"])
    assert standing_of(found, "reversed") == "withstood"


@pytest.mark.parametrize("key", ["queries", "white box"])
def test_who_attacks_the_network_itself_is_withstood_if_he_fools_nobody(key: str) -> None:
    found = figures({key: 0})
    assert all(found.source_fooled(each).hits == 0 for each in found.tried[key])
    assert standing_of(found, key) == "withstood"


def test_a_white_box_of_which_something_was_left_out_is_not_called_withstood() -> None:
    found = figures({"white box": 20})
    *some, last = found.tried["white box"]
    assert last.attempt.attack.name == "autoattack"
    assert standing_of(replace(found, tried={"white box": tuple(some)}), "white box") == "inconclusive"
    # What fools is conclusive however little was tried.
    assert standing_of(fought(found, "white box", 300), "white box") == "weakened"


@pytest.mark.parametrize(
    "changes", [{"zero_gradients": 0.02}, {"broken_gradients": 0.02}, {"deterministic": False}]
)
def test_a_white_box_that_gradients_mislead_is_not_called_withstood(changes: dict[str, Any]) -> None:
    assert standing_of(probed(figures({"white box": 20}), **changes), "white box") == "inconclusive"
    assert standing_of(figures({"white box": 20, "queries": 30}), "white box") == "inconclusive"
    assert standing_of(figures({"white box": 20, "queries": 29}), "white box") == "withstood"


def test_what_an_attacker_did_not_try_is_called_as_the_card_calls_it() -> None:
    found = sound()
    assert not any(found.untried(key) for key in KEYS)
    lost = tuple(each for each in found.tried["unseen sources"] if each.attempt.source != sources.ORDINARY)
    fewer = replace(found, tried={**found.tried, "unseen sources": lost})
    assert fewer.untried("unseen sources") == [sources.ORDINARY]
    named = replace(figures({}), missing={"queries: square": "no time"})
    assert named.untried("queries") == ["queries: square", "queries: hop-skip-jump"]


@pytest.mark.parametrize("why", [sources.AGAINST, sources.SAME])
def test_what_is_no_source_of_his_an_attacker_has_not_left_out(why: str) -> None:
    found = sound()
    lost = tuple(each for each in found.tried["unseen sources"] if each.attempt.source != sources.ANOTHER)
    fewer = replace(found, tried={**found.tried, "unseen sources": lost})
    assert fewer.untried("unseen sources") == [sources.ANOTHER]
    assert replace(fewer, missing={sources.ANOTHER: why}).untried("unseen sources") == []
    assert unseen(fewer).verdict == "UNKNOWN"
    assert unseen(replace(fewer, missing={sources.ANOTHER: why})).verdict == "PASS"


def test_of_weaker_attackers_those_who_tell_nothing_are_named() -> None:
    found = figures({"reference": 10, "unseen sources": 10, "queries": 10})
    assert withstood(found) == "queries"
    others = [key for key in KEYS if key not in ("reference", "unseen sources", "queries", "white box")]
    assert unknown_below(found) == others
    assert unknown_below(figures({"reference": 300, "queries": 10})) == []


def test_few_queries_are_too_few_to_be_withstood() -> None:
    found = fought(sound(), "queries", 0)
    assert standing_of(found, "queries") == "withstood"
    assert standing_of(replace(found, settings=replace(SETTINGS, queries=999)), "queries") == "inconclusive"


COUNTS = {"withstood": 10, "weakened": 300, "defeated": 900}


@quick
@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(list(COUNTS))))
@example({"reversed": "withstood", "white box": "withstood"})
def test_the_strongest_withstood_and_the_weakest_who_defeats_are_by_the_attackers_order(
    standings: dict[str, str],
) -> None:
    found = figures({key: COUNTS[standings[key]] for key in standings})
    strongest = weakest = None
    broken = False
    for key in KEYS:
        expected = standings.get(key, "not run")
        if key == "white box" and key in standings:
            # He can do whatever the others can.
            expected = max(standings.values(), key=list(COUNTS).index)
        elif expected == "withstood":
            # What is turned is worth what it is turned from, or what the white box is.
            bounded = "white box" in standings and set(standings.values()) == {"withstood"}
            alone = key == "reversed" and "reference" not in standings and not bounded
            # And an attacker has what all before him have.
            if alone or broken:
                expected = "inconclusive"
        assert standing_of(found, key) == expected
        # Beyond an attacker who is not withstood nothing is claimed, nor by steps down the loss.
        if expected == "withstood" and key != "reversed":
            strongest = key
        broken |= expected in ("weakened", "defeated")
        if expected == "defeated" and weakest is None:
            weakest = key
    assert withstood(found) == strongest
    assert defeated_by(found) == weakest


def test_attackers_are_from_weak_to_strong() -> None:
    assert list(FOOLED) == KEYS
    assert KEYS[0] == "reference"
    assert KEYS[-2:] == ["queries", "white box"]
    assert len(set(KEYS)) == len(KEYS)


# What makes an attacker tell nothing, or more.


def masked(starts: int, auto: int, queries: int) -> Findings:
    """Findings of so many images fooled by each start of PGD, by AutoAttack and by queries."""
    return auto_attacked(figures({"queries": queries, "white box": 0}), starts, auto)


def test_a_white_box_is_misled_if_only_those_without_gradients_fool_anything() -> None:
    # Every start of PGD fools 3 of 950, AutoAttack 120, queries 115: Square is a part of AutoAttack.
    found = masked(3, 120, 115)
    assert standing_of(found, "white box") == "inconclusive"
    assert "gradients mislead it: AutoAttack fools 12.3 %" in doubt(found, "white box")
    assert withstood(found) == "queries"
    # AutoAttack uses gradients better than PGD: a little more is no sign.
    assert standing_of(masked(73, 120, 73), "white box") == "withstood"
    assert standing_of(masked(72, 120, 72), "white box") == "inconclusive"


def test_a_white_box_is_misled_if_noise_or_one_step_does_better() -> None:
    found = figures({"queries": 3, "white box": 20})
    assert standing_of(found, "white box") == "withstood"
    for way in ("noise", "gradient"):
        extra = tuple(
            came(each.attempt, 150)
            for each in sound().extra
            if each.attempt.source == TARGET
            and each.attempt.way == way
            and (way == "noise" or each.attempt.attack.name == "fgsm")
        )
        assert extra
        better = replace(found, extra=extra)
        assert standing_of(better, "white box") == "inconclusive"
        assert f"{'noise' if way == 'noise' else 'one step'} fools 13.7 %" in doubt(better, "white box")


def test_a_white_box_is_misled_if_images_hold_where_any_can_be_any_other() -> None:
    found = figures({"queries": 3, "white box": 20})
    for held, expected in ((10, "withstood"), (11, "inconclusive")):  # of a thousand
        (far,) = (each for each in attackers.curve(TARGET, SETTINGS) if each.attack.epsilon == 1)
        curve = (came(far, CORRECT - held),)
        assert standing_of(replace(found, extra=curve), "white box") == expected


def test_gradients_mislead_image_by_image_and_not_by_totals() -> None:
    found = figures({"queries": 100, "white box": 100})
    square = tuple(apart(each, 90, 190) for each in found.tried["queries"])
    assert "queries fools 9.5 %" in misled(replace(found, tried={**found.tried, "queries": square}))
    assert misled(found) == ""


def test_gradients_on_few_images_do_not_say_that_they_are_good() -> None:
    found = figures({"white box": 20})
    assert standing_of(probed(found, images=99), "white box") == "inconclusive"
    assert standing_of(probed(found, images=100), "white box") == "withstood"


def test_attackers_who_fool_other_images_are_not_withstood_together() -> None:
    found = figures(dict.fromkeys(KEYS, 0))
    tried = {
        key: tuple(apart(each, 95 * place, 95 * place + 95) for each in found.tried[key])
        for place, key in enumerate(KEYS[:8])
    }
    found = replace(found, tried={**found.tried, **tried})
    assert all(found.fooled(found.tried[key]) == Share(95, 950) for key in KEYS[:8])
    assert withstood(found) == "reference"
    assert "he and all before him fool 20.0 %" in doubt(found, "reversed")
    assert "he and all before him fool 80.0 %" in doubt(found, KEYS[7])
    # Who has the network itself can do whatever the others can, though he has found nothing.
    assert standing_of(found, "white box") == "defeated"
    assert found.fooled(deciding(found, "white box")) == Share(760, 950)


def test_what_checks_have_found_in_his_ball_counts_against_the_white_box() -> None:
    found = figures({"white box": 0})
    extra = tuple(each for each in sound().extra if each.attempt.source == TARGET)
    assert standing_of(replace(found, extra=extra), "white box") == "defeated"
    larger = tuple(each for each in extra if each.attempt.attack.epsilon > SETTINGS.epsilon)
    assert standing_of(replace(found, extra=larger), "white box") == "withstood"


@pytest.mark.parametrize("right", [3, 850])
def test_a_source_that_is_not_nearly_as_accurate_as_it_could_be_does_not_vouch(right: int) -> None:
    found = figures({"undefended twin": 10})
    poor = replace(found, source_clean={**found.source_clean, sources.TWIN: first(right)})
    tried = found.tried["undefended twin"]
    assert is_strong(found, sources.TWIN, tried)
    assert all(poor.source_fooled(each).share == 1 for each in tried)
    # The twin may be as much less accurate than the target, which is right on 950.
    expected = "withstood" if right == 850 else "inconclusive"
    assert standing_of(poor, "undefended twin") == expected
    unseen_by = figures({"unseen sources": 10})
    names = dict.fromkeys(unseen_by.source_clean, first(right)) | {REFERENCE: first(980)}
    poor = replace(unseen_by, source_clean=names)
    assert standing_of(poor, "unseen sources") == "inconclusive"
    assert "no source is within 10 points of the accuracy of network and reference" in doubt(
        poor, "unseen sources"
    )


def test_a_poor_reference_makes_no_poor_source_a_good_one() -> None:
    found = figures(dict.fromkeys(keys := ("reference", "unseen sources", "undefended twin", "recipe"), 10))
    poor = replace(found, source_clean=dict.fromkeys(found.source_clean, first(200)))
    for key in keys:
        assert standing_of(poor, key) == "inconclusive"
        assert "of the accuracy of network and reference" in doubt(poor, key)


def with_cosines(findings: Findings, mean: float) -> Findings:
    return probed(findings, aligned={"reference": torch.linspace(mean - 0.5, mean + 0.5, IMAGES)})


@pytest.mark.parametrize(("mean", "turned"), [(-0.4, True), (-0.01, False), (0.4, False)])
def test_who_steps_down_the_loss_tells_something_only_if_gradients_were_turned(
    mean: float, turned: bool
) -> None:
    found = with_cosines(figures({"reference": 10, "reversed": 0}), mean)
    assert is_turned(found) == turned
    assert standing_of(found, "reversed") == ("withstood" if turned else "inconclusive")
    assert turned or "no gradients were turned: mean cosine" in doubt(found, "reversed")
    # And he is never the strongest who is withstood, nor one of whom something is missing.
    assert withstood(found) == "reference"
    beside = with_cosines(figures({"reference": 10, "stronger transfer": 10}), mean)
    assert unknown_below(beside) == (["reversed"] if turned else [])
    assert (
        standing_of(with_cosines(figures({"reference": 10, "reversed": 300}), mean), "reversed") == "weakened"
    )


def test_of_a_recipe_that_is_not_known_nothing_is_withstood() -> None:
    for key in ("recipe", "recipe and architecture"):
        unknown = known(figures({key: 10, "white box": 20}), recipe_known=False)
        assert standing_of(unknown, key) == "inconclusive"
        assert doubt(unknown, key) == "the recipe is not known, gm of 20 epochs is assumed"
        assert standing_of(known(figures({key: 300}), recipe_known=False), key) == "weakened"


@pytest.mark.parametrize("key", [key for key in KEYS if key != "white box"])
def test_who_has_not_tried_all_of_his_plan_is_not_withstood(key: str) -> None:
    found = figures({key: 10} | ({"reference": 10} if key == "reversed" else {}))
    *some, _ = found.tried[key]
    assert standing_of(found, key) == "withstood"
    fewer = replace(found, tried={**found.tried, key: tuple(some)})
    assert standing_of(fewer, key) == "inconclusive"
    assert "not tried: " in doubt(fewer, key)
    assert standing_of(fought(fewer, key, 300), key) == "weakened"


def test_without_an_ordinary_network_to_compare_with_nothing_is_withstood() -> None:
    found = figures({"recipe": 10})
    alone = tuple(
        replace(each, held=replace(each.held, ordinary=torch.empty(0, dtype=torch.bool)))
        for each in found.tried["recipe"]
    )
    found = replace(found, tried={**found.tried, "recipe": alone})
    assert doubt(found, "recipe") == "not compared with an ordinary network"
    assert standing_of(found, "recipe") == "inconclusive"
    assert standing_of(fought(found, "recipe", 300), "recipe") == "weakened"


# McNemar's test, and intervals.


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 56/70 less 48/80.
    assert difference((Share(56, 70),), (Share(48, 80),)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference((Share(0, 10),), (Share(0, 10),)) == pytest.approx((-0.2775, 0.2775), abs=5e-5)
    assert difference((Share(0, 0),), (Share(1, 2),)) == (-float("inf"), float("inf"))
    low, high = difference((Share(56, 70), Share(1, 9)), (Share(48, 80), Share(1, 9)))
    assert low < 0.0524 < 0.3339 < high


def test_the_interval_of_a_mean_is_students() -> None:
    # Standard deviation 1, and t of two degrees of freedom is 4.3027.
    assert mean_interval(torch.tensor([1.0, 2.0, 3.0])) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert mean_interval(torch.ones(1)) == (-float("inf"), float("inf"))


def exact(only_first: int, only_second: int) -> float:
    """Twice the smaller tail of a fair coin, an image at a time and without rounding."""
    tosses = only_first + only_second
    tail = sum(comb(tosses, heads) for heads in range(min(only_first, only_second) + 1))
    return float(min(Fraction(1), Fraction(2 * tail, 2**tosses)))


def pairs(counts: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Networks of which both, the first alone, the second alone and none are right on so many images."""
    both, one, other, neither = counts
    first_right = [True] * both + [True] * one + [False] * other + [False] * neither
    second_right = [True] * both + [False] * one + [True] * other + [False] * neither
    return torch.tensor(first_right, dtype=torch.bool), torch.tensor(second_right, dtype=torch.bool)


@quick
@given(st.tuples(*[st.integers(0, 30)] * 4))
def test_mcnemar_is_a_fair_coin_on_the_images_where_two_networks_differ(
    counts: tuple[int, int, int, int],
) -> None:
    one, other = pairs(counts)
    found = mcnemar(one, other)
    assert found == pytest.approx(exact(counts[1], counts[2]), rel=1e-9)
    assert mcnemar(other, one) == pytest.approx(found, rel=1e-12)
    assert 0 < found <= 1


@quick
@given(st.integers(0, 9).flatmap(masks))
def test_a_network_is_no_better_than_itself(right: Tensor) -> None:
    assert mcnemar(right, right) == 1


def test_mcnemar_by_hand() -> None:
    assert mcnemar(*pairs((7, 5, 0, 9))) == pytest.approx(2 / 32)
    assert mcnemar(*pairs((0, 1, 0, 0))) == 1
    assert mcnemar(*pairs((3, 8, 2, 1))) == pytest.approx(2 * (1 + 10 + 45) / 1024)


# Finding attempts again.


def test_the_plain_attempt_is_pgd_of_the_audits_epsilon_and_steps_from_its_first_start() -> None:
    found = sound()
    for source in (REFERENCE, TARGET):
        plain = found.plain(source)
        assert plain is not None
        assert plain.attempt == Attempt(source=source, attack=pgd(SETTINGS))
    # More steps alone are another attempt.
    assert without(found, "reference").plain(REFERENCE) is None


def test_attempts_are_found_by_what_they_are_and_by_their_attacks_values() -> None:
    found = only(sound(), "white box", "queries")
    starts = found.find(TARGET, name="linf-pgd", way="gradient", epsilon=SETTINGS.epsilon, steps=10)
    assert [each.attempt.restart for each in starts] == [0, 1]
    assert [each.attempt.way for each in found.find(TARGET, way="queries")] == ["queries"]
    assert [each.attempt.way for each in found.find(TARGET, way="labels")] == ["labels"]
    assert found.find(TARGET, name="autoattack")[0].attempt.attack.name == "autoattack"
    assert not found.find(TARGET, epsilon=Fraction(1, 3))
    assert not found.find("nobody")


def test_attempts_are_called_by_their_attack_and_way() -> None:
    fgsm = Attempt(source=REFERENCE, attack=AttackSettings(name="fgsm"))
    assert fgsm.label == "fgsm"
    assert replace(fgsm, way="reversed").label == "fgsm, reversed"
    assert replace(fgsm, way="queries").label == "square"
    assert replace(fgsm, way="labels").label == "hop-skip-jump"
    labels = [each.attempt.label for each in sound().tried["reversed"]]
    assert len(set(labels)) == len(labels) == 3


def test_the_findings_made_by_hand_are_what_they_say() -> None:
    found = sound()
    assert found.images == IMAGES
    for key, count in FOOLED.items():
        assert found.fooled(found.tried[key]) == Share(count, 950)
    assert torch.equal(found.clean, first(950))


def shown_to_an_ordinary_network(findings: Findings, key: str, fooled: int) -> Findings:
    """An attacker's examples fool so many of an ordinary network's images too."""
    tried = tuple(
        replace(each, held=replace(each.held, ordinary=~first(fooled))) for each in findings.tried[key]
    )
    return replace(findings, tried=dict(findings.tried) | {key: tried})


def test_what_an_ordinary_network_withstands_too_is_no_merit() -> None:
    key = "unseen sources"
    own = sound().fooled(sound().tried[key]).hits
    assert standing_of(sound(), key) == "withstood"
    better = shown_to_an_ordinary_network(sound(), key, own + 100)
    assert standing_of(better, key) == "withstood"
    assert better.ordinary_fooled(better.tried[key]) == Share(own + 100, 980)
    for fooled in (0, own, own + 2):
        alike = shown_to_an_ordinary_network(sound(), key, fooled)
        assert standing_of(alike, key) == "inconclusive"
        assert "ordinary network" in doubt(alike, key)
    # Who withstands the white box withstands whoever has less, and an ordinary network does not.
    held = tuple(came(each, 150) for each in planned("white box"))
    bounded = replace(alike, tried={key: alike.tried[key], "white box": held}, extra=())
    assert is_bounded(bounded)
    assert doubt(bounded, key) == ""


def test_an_attacker_has_what_all_before_him_have() -> None:
    findings = sound()
    so_far = [findings.fooled_so_far(attacker.key) for attacker in ATTACKERS]
    hits = [each.hits for each in so_far if each]
    assert hits == sorted(hits)
    assert hits[-1] >= max(findings.fooled(tried).hits for tried in findings.tried.values())
    assert replace(findings, tried={}).fooled_so_far("white box") is None
