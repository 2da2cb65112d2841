"""What a study and an audit give, to who calls them from Python and to the commands, which print the same."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contragrad.audit import card, shown
from contragrad.audit.findings import Findings
from contragrad.audit.verdict import verdict
from contragrad.evaluate import Row
from contragrad.report import accuracy_table


@dataclass(frozen=True, slots=True)
class Study:
    """A study that has ended; printed, it is its table.

    Args:
        folder: its run folder.
        table: its networks, the reference first.
    """

    folder: Path
    table: tuple[Row, ...]

    def __str__(self) -> str:
        console = _page()
        with console.capture() as captured:
            console.print(study_table(self.table))
        return captured.get().rstrip()


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit that has ended; printed, it is its card.

    Args:
        folder: where the card and its pictures are.
        findings: what was found, image by image.
    """

    folder: Path
    findings: Findings = field(repr=False)

    @property
    def verdict(self) -> str:
        """What it comes to, in a few sentences."""
        return verdict(self.findings)

    @property
    def card(self) -> dict[str, Any]:
        """The card as plain values."""
        return card.content(self.findings)

    def __str__(self) -> str:
        console = _page()
        with console.capture() as captured:
            shown.printed(self.findings, console)
        return captured.get().rstrip()


def study_table(rows: Sequence[Row]) -> Table:
    """What a study comes to, for people: its rows, the reference first."""
    return accuracy_table(rows, "transfer resistance from the reference")


def run_folder_by_time() -> Path:
    """The run folder of a study that is given none."""
    return Path("runs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"


def _page() -> Console:
    return Console(width=120, file=io.StringIO())
