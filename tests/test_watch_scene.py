"""What is going on, put together from events, and how long it is said to take still."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.engine.memo import DictMemo
from contragrad.evolution.search import State, ask, epochs, tell
from contragrad.evolution.trial import Infeasible
from contragrad.watch.events import (
    Begun,
    Ended,
    Epoch,
    Event,
    Planned,
    Said,
    Searching,
    Stage,
    Working,
    evaluations,
)
from contragrad.watch.remaining import epochs_left, in_words, seconds_left
from contragrad.watch.scene import Scene, advance, counted
from strategies import states
from watched import CONFIG, TOTAL, KilledError, Rehearsal, rehearse

PLAN = (Planned("a", "A", 10), Planned("b", "B", 20), Planned("c", "C", 30))


def after(*events: tuple[float, Event], scene: Scene | None = None) -> Scene:
    """The scene after events, each at its time."""
    found = scene or Scene()
    for now, event in events:
        found = advance(found, event, now)
    return found


def epoch(key: str, number: int, of: int = 10) -> Epoch:
    return Epoch(key, key.upper(), number, of, (("cross_entropy", 1 / number),))


# What runs.


def test_what_runs_is_what_was_heard_of_and_has_not_ended() -> None:
    scene = after(
        (0, Stage("s")), (1, epoch("a", 1)), (2, epoch("b", 1)), (3, epoch("a", 2)), (4, Ended("b"))
    )
    (running,) = scene.running
    assert (running.key, running.text, running.epoch, running.epochs) == ("a", "A", 2, 10)
    assert running.losses == (("cross_entropy", 0.5),)
    assert running.pace == 2.0
    assert not after((5, Stage("next")), scene=scene).running


def test_a_training_is_there_from_its_beginning_and_timed_from_its_first_report() -> None:
    begun = after((0, Begun("a", "A", 400)), (1, Begun("b", "B", 10)))
    assert [(each.text, each.epoch, each.epochs, each.pace) for each in begun.running] == [
        ("A", 0, 400, None),
        ("B", 0, 10, None),
    ]
    # It went on from a checkpoint at epoch 300, and its worker took half a minute to come about.
    scene = after((30, epoch("a", 301, 400)), (34, epoch("a", 303, 400)), scene=begun)
    assert [(each.key, each.pace) for each in scene.running] == [("a", 2.0), ("b", None)]


def test_work_without_epochs_is_what_it_is_at_now() -> None:
    scene = after((1, Working("a", "one")), (2, Working("b", "x")), (3, Working("a", "two")))
    assert [(each.key, each.text, each.epochs) for each in scene.running] == [("a", "two", 0), ("b", "x", 0)]


def test_a_training_that_a_new_worker_begins_again_is_timed_anew() -> None:
    scene = after((0, epoch("a", 5)), (100, epoch("a", 1)), (103, epoch("a", 2)))
    assert scene.running[0].pace == 3.0


def test_a_restored_training_is_timed_by_the_epochs_that_were_heard_of() -> None:
    assert after((0, epoch("a", 301, 400)), (4, epoch("a", 303, 400))).running[0].pace == 2.0


def test_what_is_left_is_counted_in_words() -> None:
    scene = after((0, Stage("s", PLAN, workers=2)))
    assert scene.left == "3 networks left"
    assert after((1, Ended("a")), (1, Said("x")), (2, Ended("c")), scene=scene).left == "1 network left"
    assert after((1, Ended("a")), (2, Ended("c")), (3, Ended("b")), scene=scene).left == ""
    assert counted(0, "network") == "0 networks"


# The search.


def scenes(folder: Path, memo: DictMemo, executor: Rehearsal) -> list[tuple[Scene, float]]:
    """Every scene of a rehearsed study, in which an epoch takes ten seconds, with its time."""
    clock, found = [0.0], [Scene()]
    kept: list[tuple[Scene, float]] = []

    def watch(event: Event) -> None:
        found[0] = advance(found[0], event, clock[0])
        kept.append((found[0], clock[0]))

    def spend() -> None:
        clock[0] += 10

    executor.spend, executor.seconds = spend, 10.0
    with suppress(KilledError):
        rehearse(folder, watch, memo, executor)
    return kept


def test_the_scene_follows_the_search(tmp_path: Path) -> None:
    kept = scenes(tmp_path, DictMemo(), Rehearsal(slots=2))
    assert all(len(scene.running) <= 2 for scene, _ in kept)
    assert all(each.trial is not None for scene, _ in kept for each in scene.running)
    steps = [scene.search.step for scene, _ in kept if scene.search]
    assert steps == sorted(steps)
    assert steps[-1] == TOTAL
    last, now = kept[-2]
    assert last.left.startswith("0 evaluations left, best fitness ")
    assert seconds_left(last, now) == 0.0
    over, _ = kept[-1]
    assert (over.stage, over.running, over.search) == ("", (), None)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_nothing_is_estimated_before_three_evaluations_have_ended(slots: int, tmp_path: Path) -> None:
    for scene, now in scenes(tmp_path, DictMemo(), Rehearsal(slots=slots)):
        if scene.search is not None:
            assert (seconds_left(scene, now) is None) == (len(scene.paces) < 3)


@pytest.mark.parametrize("slots", [1, 2])
def test_an_estimate_is_near_what_it_takes(slots: int, tmp_path: Path) -> None:
    kept = scenes(tmp_path, DictMemo(), Rehearsal(slots=slots))
    end = kept[-1][1]
    for scene, now in kept:
        left = seconds_left(scene, now) if scene.search is not None else None
        if left is not None:
            # Some children are answered by the memo and some guesses are wrong.
            assert (end - now) / 2 - 20 <= left <= 2 * (end - now) + 20


def test_what_the_memo_knows_is_told_again_and_teaches_nothing_about_time(tmp_path: Path) -> None:
    memo = DictMemo()
    scenes(tmp_path, memo, Rehearsal(slots=2, waits=12))
    kept = scenes(tmp_path, memo, Rehearsal(slots=2))
    first = next(place for place, (scene, _) in enumerate(kept) if scene.running)
    begun, _ = kept[first]
    assert begun.search is not None
    assert begun.search.step > 3
    assert begun.told == 0
    assert all(seconds_left(*each) is None for each in kept[: first + 1])


@given(states())
def test_the_epochs_that_are_left_are_those_of_all_the_trials_to_come(state: State) -> None:
    expected = 0
    place = state
    while not place.finished:
        expected += epochs(place.settings, place.generation)
        place = tell(place, ask(place), Infeasible("no"))
    assert epochs_left(state) == expected
    assert evaluations(state) - state.step == 0 or epochs_left(state) > 0


def test_longer_generations_take_longer() -> None:
    settings = replace(CONFIG.search, epochs=1, epochs_growth=9, epochs_growth_every=1)
    state = replace(rehearse(Path(), lambda event: None), settings=settings, step=0)
    assert epochs_left(state) == 3 * 1 + 6 * 1 + 6 * 10 + 6 * 19
    assert epochs_left(replace(state, step=TOTAL - 1)) == 19


def test_a_duplicate_and_a_wrong_guess_count_for_what_they_cost() -> None:
    """Ten evaluations of two epochs, a second each, by one worker; half of what was told cost nothing."""
    start = rehearse(Path(), lambda event: None)
    state = replace(start, step=TOTAL - 10, generation=2)
    scene = Scene(search=state, paces=(1.0,) * 5, told=10)
    assert seconds_left(scene, 0.0) == 10 * 2 * 0.5
    assert seconds_left(replace(scene, told=5), 0.0) == 10 * 2
    # Three times as much was trained as was used, but one of those may be used yet.
    wasteful = replace(scene, paces=(1.0,) * 15, told=4)
    assert seconds_left(wasteful, 0.0) == 10 * 2 * 3 - 2


def test_the_last_child_takes_as_long_as_it_takes() -> None:
    state = replace(rehearse(Path(), lambda event: None), step=TOTAL - 1, generation=3)
    scene = Scene(search=state, paces=(4.0,) * 8, told=8, workers=2)
    training = after((0, Epoch("a", "A", 1, 10)), scene=replace(scene))
    assert seconds_left(training, 0.0) == 9 * 4.0


def test_a_child_that_was_stopped_early_makes_an_epoch_cheaper() -> None:
    scene = after((0, Searching(rehearse(Path(), lambda event: None), 1)), (1, epoch("a", 1)))
    assert after((2, Ended("a", 2.0)), scene=scene).paces == (0.2,)
    # One that is too large is not trained at all, and says nothing about time.
    assert after((2, Begun("z", "Z", 10)), (2, Ended("z", 0.1)), scene=scene).paces == ()


# Trainings in full.


def test_trainings_are_estimated_by_their_own_pace_and_the_others_by_the_usual_one() -> None:
    begun = after((0, Stage("s", PLAN, workers=2)), (2, epoch("a", 1)), (3, epoch("b", 1, 20)))
    assert seconds_left(begun, 3) is None
    scene = after((4, epoch("a", 2)), (7, epoch("b", 2, 20)), scene=begun)
    # A: 8 epochs of 2 s, 3 s of them gone; B: 18 of 4 s; C: 30 of 3 s, the median.
    assert seconds_left(scene, 7) == max((13 + 72 + 90) / 2, 90)
    assert seconds_left(scene, 8) == max((12 + 71 + 90) / 2, 90)
    # One after the other.
    assert seconds_left(replace(scene, workers=1), 7) == 13 + 72 + 90


def test_a_training_that_ended_still_teaches_the_pace() -> None:
    scene = after((0, Stage("s", PLAN[:2])), (2, epoch("a", 9)), (4, epoch("a", 10)), (4, Ended("a", 4.0)))
    assert scene.paces == (2.0,)
    assert seconds_left(scene, 4) == 20 * 2.0


def test_nothing_is_left_to_say_without_a_plan() -> None:
    scene = after((0, Stage("measuring")), (1, Working("a", "x")))
    assert seconds_left(scene, 100) is None
    assert scene.left == ""


@given(st.floats(0, 1e7))
def test_estimates_are_in_words(seconds: float) -> None:
    words = in_words(seconds)
    assert words.endswith(" left")
    unit = {"min": 60, "h": 3600, "days": 86400}
    if words.startswith("about"):
        number, name = words.split()[1:3]
        assert number.isdigit()
        assert abs(int(number) * unit[name] - seconds) <= unit[name] / 2 + 1
    else:
        assert seconds < 60
