"""A run for scripts: one JSON object a line for each event, the study's table being the last one."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from io import UnsupportedOperation
from typing import TextIO

from contragrad.engine.study import Told
from contragrad.evolution.trial import Trial
from contragrad.fingerprint import Plain, canonical
from contragrad.report import told_json
from contragrad.settings import config_file
from contragrad.watch.events import (
    Begun,
    Ended,
    Epoch,
    Event,
    Idle,
    Opened,
    Results,
    Said,
    Searching,
    Stage,
    Watcher,
    Working,
    best_fitness,
    evaluations,
)
from contragrad.watch.lines import line


def json_lines(file: TextIO, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Watcher:
    """Writes each event to the file, with the time."""

    def watch(event: Event) -> None:
        time = clock().isoformat(timespec="milliseconds")
        try:
            file.write(json.dumps({"time": time} | as_json(event)) + "\n")
            file.flush()
        except BrokenPipeError:
            # Python flushes standard output as it ends, and would fail again.
            with suppress(UnsupportedOperation):
                os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
            raise

    return watch


def as_json(event: Event) -> dict[str, Plain]:
    """An event for scripts: `event` is its kind. Accuracies are fractions, losses stand by their names."""
    match event:
        case Opened(folder, config):
            return {"event": "opened", "folder": str(folder), "settings": config_file.dotted(config)}
        case Stage(text, trainings):
            planned: list[Plain] = [
                {"key": each.key, "name": each.name, "epochs": each.epochs} for each in trainings
            ]
            return {"event": "stage", "text": text, "trainings": planned}
        case Searching(state, workers):
            total = evaluations(state)
            return {"event": "search", "text": line(event), "evaluations": total, "workers": workers}
        case Told():
            counted: dict[str, Plain] = {
                "evaluation": event.after.step,
                "evaluations": evaluations(event.before),
            }
            best = best_fitness(event.after)
            return {"event": "evaluation", **counted, **told_json(event), "best_fitness": best}
        case Begun(key, name, epochs, trial):
            return {"event": "begun", "key": key, "name": name, "epochs": epochs, **_genome(trial)}
        case Epoch(key, name, epoch, epochs, losses, trial):
            of: dict[str, Plain] = {
                "event": "epoch",
                "key": key,
                "name": name,
                "epoch": epoch,
                "epochs": epochs,
            }
            return {**of, **dict(losses), **_genome(trial)}
        case Working(key, text):
            return {"event": "working", "key": key, "text": text}
        case Ended(key, seconds, text):
            return {"event": "ended", "key": key, "seconds": seconds, "text": text}
        case Said(text):
            return {"event": "said", "text": text}
        case Idle():
            return {"event": "idle"}
        case Results(rows):
            return {"event": "table", "table": [canonical(asdict(row)) for row in rows]}


def _genome(trial: Trial | None) -> dict[str, Plain]:
    return {} if trial is None else {"genome": str(trial.genome)}
