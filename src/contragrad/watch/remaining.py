"""How long a stage still takes: an estimate from what it has taken so far, or None."""

from statistics import median

from contragrad.evolution.search import State, epochs
from contragrad.watch.scene import Running, Scene

ENOUGH = 3
"""Evaluations that must have ended before the rest are estimated by them."""


def seconds_left(scene: Scene, now: float) -> float | None:
    """Seconds until the stage is over; None where too little is known."""
    if scene.search is not None:
        return _of_search(scene, scene.search)
    return _of_trainings(scene, now)


def _of_search(scene: Scene, state: State) -> float | None:
    """By the median of the evaluations that ended in this session, and by what the search had of them.

    A child that the memo answers costs nothing, and one that was trained on a wrong guess is never told:
    so many evaluations were paid for each that was told, and that goes on.
    """
    done = len(scene.paces)
    if done < ENOUGH:
        return None
    pace = median(scene.paces)
    ahead = min(max(done - scene.told, 0), scene.workers)
    paid = done / (scene.told + ahead)
    known = ahead * epochs(state.settings, state.generation) + sum(each.epoch for each in scene.running)
    work = pace * max(paid * epochs_left(state) - known, 0.0)
    longest = max((pace * (each.epochs - each.epoch) for each in scene.running), default=0.0)
    return max(work / scene.workers, longest) if not state.finished else 0.0


def epochs_left(state: State) -> int:
    """Epochs of all the trials that the search has not been told of."""
    settings = state.settings
    total, behind = 0, state.step
    for generation in range(settings.generations + 1):
        size = settings.population * (settings.children if generation else 1)
        told = min(behind, size)
        behind -= told
        total += (size - told) * epochs(settings, generation)
    return total


def _of_trainings(scene: Scene, now: float) -> float | None:
    """By each training's own pace, or by that of the others where it has none yet."""
    running = {each.key: each for each in scene.running}
    paces = [*scene.paces, *(pace for each in scene.running if (pace := each.pace) is not None)]
    if not scene.plan or not paces:
        return None
    usual = median(paces)
    each_left = [
        _of_training(known, usual, now) if (known := running.get(planned.key)) else planned.epochs * usual
        for planned in scene.plan
    ]
    return max(sum(each_left) / scene.workers, *each_left)


def _of_training(training: Running, usual: float, now: float) -> float:
    pace = training.pace or usual
    return max((training.epochs - training.epoch) * pace - (now - training.last[0]), 0.0)


def in_words(seconds: float) -> str:
    """An estimate, no finer than it is.

    >>> in_words(20), in_words(700), in_words(20_000), in_words(400_000)
    ('less than a minute left', 'about 12 min left', 'about 6 h left', 'about 5 days left')
    """
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1:
        return "less than a minute left"
    if minutes < 99.5:
        return f"about {minutes:.0f} min left"
    if hours < 48:
        return f"about {hours:.0f} h left"
    return f"about {hours / 24:.0f} days left"
