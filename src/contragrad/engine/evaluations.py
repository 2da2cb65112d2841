"""A trial's evaluation as the memo has it, and when it is believed."""

import platform
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from contragrad.engine.executors import Finished, GivenUp, WorkerLostError
from contragrad.engine.memo import Memo, Record
from contragrad.engine.work import Result
from contragrad.errors import UserError
from contragrad.evolution.trial import Abandoned, Outcome, Trial, outcome_from_json, outcome_to_json

IN_A_ROW = 3
"""Trials given up with no result between them, after which the fault is held to be the machine's."""

REMEDY = "more free memory, fewer --workers, or nodes that last; nothing is lost, and resume tries them again"
"""Against workers that die."""


def remembered(record: Record) -> Outcome:
    """The outcome that a memo's record holds.

    Raises:
        UserError: if it holds none.
    """
    try:
        return outcome_from_json(record.outcome)
    except ValueError as error:
        raise UserError(
            f"the evaluation of {record.task} was remembered wrongly: {error}",
            where=f"{record.key} in the study's database",
            remedy="a backup of the database, or its row deleted: it is evaluated again",
        ) from error


@cache
def _origin() -> dict[str, str]:
    return {
        "host": socket.gethostname(),
        "machine": platform.platform(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "contragrad": version("contragrad"),
    }


def provenance() -> dict[str, str]:
    """Where and with what something is made that finishes now."""
    return _origin() | {"finished": datetime.now(UTC).isoformat(timespec="seconds")}


def recorded(trial: Trial, key: str, outcome: Result, seconds: float, made: dict[str, str]) -> Record:
    """What a memo is to hold of a trial."""
    return Record(key=key, task=task_text(trial), outcome=outcome, seconds=seconds, provenance=made)


def task_text(trial: Trial) -> str:
    """A trial for people to read; no two trials have the same."""
    text = f"{trial.genome} epochs={trial.epochs} replicate={trial.replicate}"
    if any(rung.bar is not None for rung in trial.rungs):
        text += " bars=" + ",".join(f"{rung.epoch}:{rung.bar}" for rung in trial.rungs)
    return text


@dataclass(slots=True)
class Doubted:
    """Trials that were given up since the last result, and are not remembered before the next one.

    Only then it is clear that they are at fault, and not the machine.
    """

    memo: Memo
    records: dict[Trial, Record] = field(default_factory=dict)
    in_a_row: int = 0

    def heard(self, event: Finished | GivenUp, trial: Trial) -> dict[Trial, Outcome]:
        """What is known now that the trial has come to this.

        Raises:
            WorkerLostError: if it is one too many that was given up.
        """
        if isinstance(event, Finished):
            self.in_a_row = 0
            made = event.provenance or provenance()
            record = recorded(trial, event.key, event.result, event.seconds, made)
            return {trial: remembered(self.memo.put(record)), **self.settled()}
        outcome = outcome_to_json(Abandoned(event.reason))
        self.records[trial] = recorded(trial, event.key, outcome, 0.0, provenance())
        self.in_a_row += 1
        if self.in_a_row == IN_A_ROW:
            raise WorkerLostError(
                f"{IN_A_ROW} trials in a row were given up, so the machine may be at fault: {event.reason}\n"
                f"  try: {REMEDY}; for networks that it cannot bear, a new study with other search.limits"
            )
        return {}

    def settled(self) -> dict[Trial, Outcome]:
        """Their outcomes, which are remembered from now on."""
        found = {trial: remembered(self.memo.put(record)) for trial, record in self.records.items()}
        self.records.clear()
        return found
