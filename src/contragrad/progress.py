"""What a run is doing, said to whoever watches: a live line on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from contragrad.evolution.trial import Outcome
from contragrad.report import outcome_text, percent

PLAIN_INTERVAL = 10.0
"""Seconds between two lines about running work where nothing can be redrawn."""


class Progress:
    """Tells stages, evaluations and running work; a context manager, for the live line must be cleared."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("starting", console=console) if console.is_terminal else None
        self._begun = self._said = time.monotonic()
        self._running: dict[str, str] = {}
        self._left = ""

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def stage(self, text: str) -> None:
        """A new stage of the run has begun."""
        self._running.clear()
        self._left = ""
        self._line(text, style="bold")

    def left(self, text: str) -> None:
        """What remains of the stage."""
        self._left = text

    def running(self, key: str, text: str) -> None:
        """The work named `key` has come so far."""
        self._running[key] = text
        self._show()

    def forget(self, key: str) -> None:
        """The work named `key` is over, and its outcome is told elsewhere."""
        self._running.pop(key, None)

    def done(self, key: str, text: str) -> None:
        """The work named `key` is over."""
        self._running.pop(key, None)
        self._line(text)

    def told(self, step: int, total: int, outcome: Outcome, *, taken: str, best: float) -> None:
        """The search has used an outcome."""
        self._left = f"{total - step} evaluations left, best fitness {percent(best)}"
        self._line(f"[{step}/{total}] {outcome_text(outcome)}; {taken}; best fitness {percent(best)}")

    def _line(self, text: str, style: str | None = None) -> None:
        seconds = int(time.monotonic() - self._begun)
        stamp = f"{seconds // 60:d}:{seconds % 60:02d}"
        self._console.print(f"{stamp:>6}  {text}", style=style, markup=False, highlight=False, soft_wrap=True)
        self._show()

    def _show(self) -> None:
        text = "; ".join(filter(None, (self._left, *self._running.values())))
        if self._status is not None:
            self._status.update(Text(text))  # a string would be read as markup
        elif self._running and time.monotonic() - self._said > PLAIN_INTERVAL:
            self._said = time.monotonic()
            self._line(f"running: {text}")


def epoch_text(name: str, message: dict[str, float]) -> str:
    """How far a training has come."""
    return f"{name} epoch {message['epoch']:.0f}/{message['epochs']:.0f}"
