"""What a search has cost, by what stands in its database."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from contragrad.engine.memo import Record, SqliteMemo
from contragrad.engine.study import Told
from contragrad.evolution.trial import Abandoned, Infeasible, Outcome, Stopped, outcome_from_json
from contragrad.run_folder import history
from contragrad.run_folder.workspace import DATABASE

EPOCHS = re.compile(r"fc\([0-9]{1,6}\) epochs=([0-9]{1,9}) replicate=[0-9]+")
"""Of an evaluation that no search asks for, the memo has no trial, only the text of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What some evaluations took.

    Args:
        evaluations: how many.
        epochs: trained; those of trainings that diverged or were given up are not recorded and not counted.
        seconds: of the workers, added up, trials that were given up left out.
    """

    evaluations: int = 0
    epochs: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            evaluations=self.evaluations + other.evaluations,
            epochs=self.epochs + other.epochs,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What stands in a study's database.

    Args:
        used: the evaluations whose outcome the search was told.
        unused: those that it did not ask for.
        compared: those that random search alone asked for, which stands in the same database.
        repeated: trials that were asked for again and answered without a training.
        spared: epochs that stopping early saved.
        first: when the first evaluation was begun; None if there is none.
        last: when the last one ended.
        environments: platform, Python, torch and contragrad, and how many evaluations each made.
        data: the data's fingerprint.
    """

    used: Tally = Tally()
    unused: Tally = Tally()
    compared: Tally = Tally()
    repeated: int = 0
    spared: int = 0
    first: datetime | None = None
    last: datetime | None = None
    environments: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    data: str | None = None


def read(folder: Path, told: Iterable[Told]) -> Cost:
    """The cost of a run folder's study as far as it has come; writes nothing.

    Args:
        folder: of a study that has begun.
        told: what its search was told.

    Raises:
        UserError: if the database cannot be read.
    """
    workspace = history.stored_workspace(folder)
    search = replace(workspace.config.search, variation="random")
    randomly = replace(workspace, config=replace(workspace.config, search=search))
    with SqliteMemo(folder / DATABASE, read_only=True) as memo:
        return counted(
            memo.records(),
            asked=[workspace.evaluation_name(event.trial) for event in told],
            compared={
                workspace.evaluation_name(event.trial) for event in history.retold(memo, randomly).told
            },
            data=workspace.data,
        )


def counted(records: Iterable[Record], *, asked: list[str], compared: set[str], data: str) -> Cost:
    """The cost of records.

    Args:
        records: of evaluations, and of anything else.
        asked: the names of the search's trials, in its order.
        compared: those of random search's.
        data: the data's fingerprint.
    """
    used = unused = drawn = Tally()
    spared = 0
    times: list[datetime] = []
    environments: Counter[tuple[str, str, str, str]] = Counter()
    wanted = set(asked)
    for record in records:
        outcome, planned = _outcome(record), EPOCHS.search(record.task)
        if outcome is None or planned is None:
            continue
        epochs = _trained(outcome, int(planned[1]))
        tally = Tally(evaluations=1, epochs=epochs, seconds=record.seconds)
        if record.key in wanted:
            used += tally
            spared += int(planned[1]) - epochs if isinstance(outcome, Stopped) else 0
        elif record.key in compared:
            drawn += tally
        else:
            unused += tally
        environments[_environment(record)] += 1
        times += _times(record)
    return Cost(
        used=used,
        unused=unused,
        compared=drawn,
        repeated=len(asked) - len(wanted),
        spared=spared,
        first=min(times, default=None),
        last=max(times, default=None),
        environments=dict(environments.most_common()),
        data=data,
    )


def _times(record: Record) -> tuple[datetime, ...]:
    """When the evaluation was begun and when it ended, as far as that is noted."""
    try:
        last = datetime.fromisoformat(record.provenance.get("finished", ""))
        times = last - timedelta(seconds=record.seconds), last
    except (ValueError, OverflowError):
        return ()
    return () if last.tzinfo is None else times


def _outcome(record: Record) -> Outcome | None:
    """What an evaluation came to; None if the record is of something else, as networks' answers are."""
    try:
        return outcome_from_json(record.outcome)
    except ValueError:
        return None


def _trained(outcome: Outcome, planned: int) -> int:
    match outcome:
        case Stopped(epoch):
            return epoch
        case Infeasible() | Abandoned():
            return 0
        case _:
            return planned


def _environment(record: Record) -> tuple[str, str, str, str]:
    made = record.provenance
    return (
        made.get("machine", "–"),
        made.get("python", "–"),
        made.get("torch", "–"),
        made.get("contragrad", "–"),
    )
