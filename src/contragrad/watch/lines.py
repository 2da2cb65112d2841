"""A run as lines of text, for logs and pipes: stages, evaluations, and now and then what runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from contragrad.engine.study import Told
from contragrad.legible import legible
from contragrad.report import outcome_text, percent
from contragrad.run_folder.history import placement
from contragrad.watch.events import (
    Ended,
    Event,
    Said,
    Searching,
    Stage,
    Watcher,
    best_fitness,
    evaluations,
)
from contragrad.watch.scene import Running, Scene, advance, counted, kind_of

INTERVAL = 10.0
"""Seconds between two lines about running work."""


def line(event: Event) -> str:
    """What an event leaves for people to read; empty if nothing."""
    match event:
        case Stage(text) | Said(text) | Ended(text=text):
            return text
        case Searching(state):
            settings = state.settings
            children = "1 child" if settings.children == 1 else f"{settings.children} children"
            return (
                f"{kind_of(state)}: {counted(settings.population, 'candidate')}, "
                f"{counted(settings.generations, 'generation')}, {children} each, "
                f"{counted(evaluations(state), 'evaluation')}"
            )
        case Told(_, outcome, _, after):
            best = percent(best_fitness(after))
            step = f"[{after.step}/{evaluations(after)}]"
            return f"{step} {outcome_text(outcome)}; {placement(event)}; best fitness {best}"
        case _:
            return ""


def begins_stage(event: Event) -> bool:
    """Whether a line of the event is a heading."""
    return isinstance(event, Stage | Searching)


def stamp(seconds: float) -> str:
    """The time since the run began, as lines have it before their text."""
    return f"{int(seconds) // 60:d}:{int(seconds) % 60:02d}"


def running_text(scene: Scene) -> str:
    """What runs and what is left, in one line."""
    return "; ".join(filter(None, (scene.left, *map(_so_far, scene.running))))


def _so_far(running: Running) -> str:
    return f"{running.text} epoch {running.epoch}/{running.epochs}" if running.epochs else running.text


@contextmanager
def lines(console: Console) -> Iterator[Watcher]:
    """Writes each event's line to the console, and every ten seconds what runs."""
    begun = said = time.monotonic()
    scene = Scene(since=begun)

    def put(text: str, style: str | None = None) -> None:
        told = f"{stamp(time.monotonic() - begun):>6}  {legible(text, lines=True)}"
        console.print(told, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def watch(event: Event) -> None:
        nonlocal scene, said
        now = time.monotonic()
        scene = advance(scene, event, now)
        if text := line(event):
            put(text, "bold" if begins_stage(event) else None)
        if scene.running and now - said > INTERVAL:
            said = now
            put(f"running: {running_text(scene)}")

    yield watch
