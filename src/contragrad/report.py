"""What a person reads at the end: the table, and a run's history, as text."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from contragrad.engine.study import Told
from contragrad.evaluate import Interval, Row
from contragrad.evolution.search import Member
from contragrad.evolution.spectrum import spectrum
from contragrad.evolution.trial import Abandoned, Infeasible, Measured, Outcome, Stopped, outcome_to_json
from contragrad.fingerprint import Plain, canonical
from contragrad.legible import legible
from contragrad.run_folder.history import History, placement


def percent(share: float) -> str:
    """A fraction as people read it."""
    return f"{100 * share:.1f} %"


def interval_text(share: float, interval: Interval) -> str:
    """A share in percent with its interval."""
    low, high = (100 * bound for bound in interval)
    return f"{percent(share)} [{low:.1f}, {high:.1f}]"


def accuracy_table(rows: Sequence[Row], title: str) -> Table:
    """The paper's Table 4 with intervals: networks by row, accuracies as percentages."""
    table = Table(
        title=title, caption=f"test images: {rows[0].images:,}; 95 % Wilson intervals", title_justify="left"
    )
    for column in ("network", "clean accuracy", "adversarial accuracy", "parameters"):
        table.add_column(column, justify="left" if column == "network" else "right", overflow="fold")
    for row in rows:
        table.add_row(
            Text(legible(row.name)),  # a string would be read as markup
            interval_text(row.clean_accuracy, row.clean_interval),
            interval_text(row.adversarial_accuracy, row.adversarial_interval),
            f"{row.parameters:,}",
        )
    return table


def outcome_text(outcome: Outcome) -> str:
    """An outcome in a few words."""
    match outcome:
        case Infeasible(reason):
            return f"infeasible: {legible(reason)}"
        case Abandoned(reason):
            return f"given up: {legible(reason)}"
        case Stopped(epoch, reached):
            return f"stopped after epoch {epoch}, behind with fitness {percent(reached)}"
        case Measured(clean, adversarial):
            fitness = percent(outcome.fitness)
            return f"fitness {fitness} (clean {percent(clean)}, adversarial {percent(adversarial)})"


def told_json(event: Told) -> dict[str, Plain]:
    """An evaluation and what it did to the search, for scripts."""
    return {
        "generation": event.before.generation,
        "candidate": event.before.slot + 1 if event.before.generation else len(event.after.population),
        "genome": str(event.trial.genome),
        "epochs": event.trial.epochs,
        "outcome": outcome_to_json(event.outcome),
        "placement": placement(event),
    }


def history_json(history: History, rows: Sequence[Row]) -> dict[str, Plain]:
    """A study's history and table for scripts."""
    return {
        "finished": history.state is not None and history.state.finished,
        "test_looks": history.looks,
        "evaluated_elsewhere": history.elsewhere,
        "history": [told_json(event) for event in history.told],
        "table": [canonical(asdict(row)) for row in rows],
    }


def population_table(population: Sequence[Member]) -> Table:
    """The candidates of a population, one a row."""
    table = Table(title="population", title_justify="left")
    for column in ("slot", "outcome", "spectrum", "genome"):
        table.add_column(column, overflow="fold")
    for slot, member in enumerate(population, start=1):
        counts = ", ".join(map(str, spectrum(member.trial.genome)))
        outcome = Text(outcome_text(member.outcome))  # a string would be read as markup
        table.add_row(str(slot), outcome, counts, str(member.trial.genome))
    return table
