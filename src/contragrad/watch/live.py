"""A run on a terminal: its lines scroll by, and below them a table of what is going on is drawn anew."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contragrad.legible import legible
from contragrad.watch.events import Event, Watcher
from contragrad.watch.lines import begins_stage, line, lines, stamp
from contragrad.watch.scene import Scene, advance
from contragrad.watch.table import Screen, drawn

FRAMES = 4.0
"""Drawings a second."""


@contextmanager
def live(console: Console) -> Iterator[Watcher]:
    """Draws on the console, which is a terminal; when the block ends, only the lines stay."""
    begun = time.monotonic()
    scene = Scene(since=begun)

    def frame() -> RenderableType:
        screen = Screen(console.width, console.height, unicode=not console.options.ascii_only)
        return drawn(scene, time.monotonic(), screen)

    def watch(event: Event) -> None:
        nonlocal scene
        now = time.monotonic()
        scene = advance(scene, event, now)
        with drawing:
            if text := line(event):
                console.print(_hanging(stamp(now - begun), text, "bold" if begins_stage(event) else ""))
            if not scene.stage:
                region.refresh()  # cleared by the time that somebody prints

    def redraw() -> None:
        while not over.wait(1 / FRAMES):
            with drawing:
                region.refresh()

    # Standard output is left alone: it may be a pipe that takes data.
    region = Live(
        get_renderable=frame,
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        vertical_overflow="crop",
    )
    # Rich's own thread may draw while a line is on its way, and then clears lines that should stay.
    drawing, over = threading.Lock(), threading.Event()
    thread = threading.Thread(target=redraw, daemon=True)
    with region:
        thread.start()
        try:
            yield watch
        finally:
            over.set()
            thread.join()


def _hanging(when: str, text: str, style: str) -> Table:
    """A line of the log, which is broken between words and goes on below its own beginning."""
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(justify="right", width=6, no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(Text(when, style), Text(legible(text, lines=True), style))
    return row


@contextmanager
def display(console: Console) -> Iterator[Watcher]:
    """Whatever suits the console: a live table on a terminal, else lines."""
    with (live if console.is_interactive else lines)(console) as watch:
        yield watch
