"""What is going on in a run, put together from its events: values in, values out."""

from dataclasses import dataclass, replace

from contragrad.engine.study import Told
from contragrad.evolution.search import State
from contragrad.evolution.trial import Trial
from contragrad.report import percent
from contragrad.watch.events import (
    Begun,
    Ended,
    Epoch,
    Event,
    Idle,
    Opened,
    Planned,
    Results,
    Said,
    Searching,
    Stage,
    Working,
    best_fitness,
    evaluations,
)


@dataclass(frozen=True, slots=True)
class Running:
    """A training, or work without epochs, whose `epochs` are 0.

    Args:
        key: tells it from others.
        text: its name, or what it is at.
        last: when it was last heard of, in seconds, and the epochs it had behind it then.
        first: the same of its first report; None before that.
        epochs: all its epochs.
        losses: its last epoch's, by name.
        trial: what is trained, if a search asked for it.
    """

    key: str
    text: str
    last: tuple[float, int]
    first: tuple[float, int] | None = None
    epochs: int = 0
    losses: tuple[tuple[str, float], ...] = ()
    trial: Trial | None = None

    @property
    def epoch(self) -> int:
        """Epochs behind it."""
        return self.last[1]

    @property
    def pace(self) -> float | None:
        """Seconds for an epoch, measured from report to report; None before the second."""
        (then, before), (now, epoch) = self.first or self.last, self.last
        return (now - then) / (epoch - before) if epoch > before else None


@dataclass(frozen=True, slots=True)
class Scene:
    """A stage of a run.

    Args:
        stage: what is done in it; empty if nothing is.
        since: when it began, in seconds of whatever clock.
        workers: how much can run at a time.
        search: where the search stands, if the stage is one.
        networks: how many the stage trains in all.
        plan: those of them that are not done.
        running: what runs, in the order in which it was first heard of.
        paces: seconds an epoch took, for each training that ended in this stage, by all its epochs.
        told: evaluations that the search has used since the stage's first work; those before it were known.
    """

    stage: str = ""
    since: float = 0.0
    workers: int = 1
    search: State | None = None
    networks: int = 0
    plan: tuple[Planned, ...] = ()
    running: tuple[Running, ...] = ()
    paces: tuple[float, ...] = ()
    told: int = 0

    @property
    def left(self) -> str:
        """What remains of the stage, in words; empty where that goes without saying."""
        if self.search is not None and self.search.step:
            count = evaluations(self.search) - self.search.step
            return f"{counted(count, 'evaluation')} left, best fitness {percent(best_fitness(self.search))}"
        return f"{counted(len(self.plan), 'network')} left" if self.plan and self.networks > 1 else ""


def counted(count: int, what: str) -> str:
    """How many of what, in words.

    >>> counted(1, "network"), counted(2, "network")
    ('1 network', '2 networks')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def kind_of(state: State) -> str:
    """What a search is called while it runs."""
    return "random search" if state.settings.variation == "random" else "evolving"


def advance(scene: Scene, event: Event, now: float) -> Scene:
    """The scene after an event that happened now."""
    match event:
        case Stage(text, trainings, workers):
            return Scene(text, now, workers, networks=len(trainings), plan=trainings)
        case Searching(state, workers):
            return Scene(kind_of(state), now, workers, search=state)
        case Told():
            live = bool(scene.running or scene.paces)
            return replace(scene, search=event.after, told=scene.told + live)
        case Begun(key, name, epochs, trial):
            return _running(scene, Running(key, name, (now, 0), epochs=epochs, trial=trial))
        case Epoch():
            return _heard(scene, event, now)
        case Working(key, text):
            return _running(scene, Running(key, text, (now, 0)))
        case Ended():
            return _ended(scene, event)
        case Idle() | Results():
            return Scene(since=now)
        case Said() | Opened():
            return scene


def _heard(scene: Scene, event: Epoch, now: float) -> Scene:
    known = _known(scene, event.key)
    at = (now, event.epoch)
    # A training whose worker died begins again.
    first = known.first if known and known.epoch < event.epoch else None
    trial = event.trial or (known.trial if known else None)
    return _running(scene, Running(event.key, event.name, at, first or at, event.epochs, event.losses, trial))


def _running(scene: Scene, found: Running) -> Scene:
    """The scene with what is known of something that runs; it keeps its place among what runs."""
    if _known(scene, found.key) is None:
        return replace(scene, running=(*scene.running, found))
    return replace(scene, running=tuple(found if each.key == found.key else each for each in scene.running))


def _ended(scene: Scene, event: Ended) -> Scene:
    known = _known(scene, event.key)
    pace = _pace(known, event, searching=scene.search is not None) if known else None
    return replace(
        scene,
        running=tuple(each for each in scene.running if each is not known),
        plan=tuple(each for each in scene.plan if each.key != event.key),
        paces=scene.paces if pace is None else (*scene.paces, pace),
    )


def _pace(known: Running, event: Ended, *, searching: bool) -> float | None:
    """Seconds an epoch took: of a child for each that was planned, for one that was stopped was cheap."""
    if not searching:
        return known.pace
    # A network that is too large comes to no epoch, and costs nothing.
    return event.seconds / known.epochs if event.seconds is not None and known.epoch else None


def _known(scene: Scene, key: str) -> Running | None:
    return next((each for each in scene.running if each.key == key), None)
