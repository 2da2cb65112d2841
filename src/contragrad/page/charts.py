"""Plots of a search: fitness over generations, both accuracies of every child, and who came of whom."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from math import ceil
from typing import Any

import altair as alt

from contragrad.evolution.trial import Measured, Stopped
from contragrad.page.blocks import Chart
from contragrad.page.steps import Fate, Step, ancestry, front
from contragrad.page.theme import finished, of
from contragrad.report import outcome_text

FATES: dict[Fate, str] = {
    "initial candidate": "square",
    "accepted": "circle",
    "rejected": "M-0.8,-0.8L0.8,0.8M0.8,-0.8L-0.8,0.8",
    "stopped early": "triangle-down",
}
"""What a mark's shape says; what is infeasible or was given up has no fitness to mark."""

LOST = ("rejected", "stopped early")

MOST_TICKS = 12

DIED_OUT = "died out"
SEVERAL = "leads to several"

TOOLTIP = [
    alt.Tooltip("what:N", title="trial"),
    alt.Tooltip("outcome:N"),
    alt.Tooltip("fate:N", title="became"),
    alt.Tooltip("epochs:Q"),
    alt.Tooltip("genome:N"),
]

Data = list[dict[str, Any]]


def _row(step: Step) -> dict[str, Any]:
    measured = step.outcome if isinstance(step.outcome, Measured) else None
    reached = step.outcome.reached if isinstance(step.outcome, Stopped) else None
    origin = f"child of candidate {step.slot}" if step.generation else "initial candidate"
    return {
        "what": f"{step.number}: generation {step.generation}, {origin}",
        "time": step.time,
        "generation": step.generation,
        "slot": str(step.took or step.slot),
        "fitness": measured.fitness if measured else reached,
        "clean": measured.clean_accuracy if measured else None,
        "adversarial": measured.adversarial_accuracy if measured else None,
        "outcome": outcome_text(step.outcome),
        "fate": step.fate,
        "epochs": step.trial.epochs,
        "genome": str(step.trial.genome),
    }


def _generations(end: float) -> alt.X:
    last = ceil(end) - 1
    begun = list(range(0, last + 1, ceil((last + 1) / MOST_TICKS)))
    axis = alt.Axis(title="generation", values=begun, format="d")
    return alt.X("time:Q", axis=axis, scale=alt.Scale(domain=[0, end], nice=False))


def _slots(steps: Sequence[Step]) -> list[str]:
    return [str(slot) for slot in sorted({step.took for step in steps if step.took is not None})]


def fitness(steps: Sequence[Step], split: str) -> Chart:
    """Each slot's fitness as a line, and each child as a mark."""
    end = max(step.time for step in steps)
    slots = _slots(steps)
    picked = alt.selection_point(fields=["slot"], bind="legend")
    seen = alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.12))
    height = alt.Y("fitness:Q", title="fitness", axis=_percent(), scale=alt.Scale(zero=False))
    colour = alt.Color(
        "slot:N",
        scale=alt.Scale(domain=slots),
        legend=alt.Legend(title="candidate slot", orient="top", columns=8, symbolType="stroke"),
    )
    fates = {fate: FATES[fate] for fate in FATES if any(step.fate == fate for step in steps)}
    shape = alt.Shape(
        "fate:N",
        scale=alt.Scale(domain=list(fates), range=list(fates.values())),
        legend=alt.Legend(title=None, orient="bottom", columns=2, symbolFillColor="transparent"),
    )
    lines = (
        of([*_lines(steps, end)])
        .mark_line(interpolate="step-after", strokeWidth=2, tooltip=False)
        .encode(_generations(end), height, colour, opacity=seen)
        .add_params(picked)
    )
    rows = [row for row in map(_row, steps) if row["fitness"] is not None]
    lost = [row for row in rows if row["fate"] in LOST]
    kept = [row for row in rows if row["fate"] not in LOST]
    base = {"x": _generations(end), "y": height, "shape": shape, "tooltip": TOOLTIP}
    losers = of(lost).mark_point(size=38, style="quiet", fillOpacity=0, strokeWidth=1.7).encode(**base)
    keepers = of(kept).mark_point(size=60, filled=True).encode(**base, color=colour, opacity=seen)
    left = sum(step.fate in ("infeasible", "given up") for step in steps)
    rest = (
        " Triangles were stopped early, with the fitness that they had by then."
        if "stopped early" in fates
        else ""
    )
    rest += f" {left} trials that were infeasible or given up have no fitness and no mark." if left else ""
    return finished(
        alt.layer(lines, losers, keepers).properties(height=340),
        "fitness",
        "Fitness over generations",
        f"Fitness is the smaller of clean and adversarial accuracy on the {split} images. A line is the "
        "candidate that stands in a slot; it rises where an accepted child takes the slot over. Grey marks "
        "are children that were rejected. A generation's trials stand between its number and the next; 0 "
        f"are the initial candidates. Tap a slot in the legend to see it alone.{rest}",
    )


def _lines(steps: Iterable[Step], end: float) -> Iterable[dict[str, Any]]:
    for step in steps:
        if step.took is not None and isinstance(step.outcome, Measured):
            row = {"slot": str(step.took), "fitness": step.outcome.fitness}
            yield row | {"time": step.time}
            if step.until is None:
                yield row | {"time": end}


def accuracies(steps: Sequence[Step], winners: Mapping[str, Step], split: str) -> Chart:
    """Clean against adversarial accuracy of every child, with the Pareto front."""
    measured = [(step, step.outcome) for step in steps if isinstance(step.outcome, Measured)]
    rows = [_row(step) for step, _ in measured]
    points = [(outcome.clean_accuracy, outcome.adversarial_accuracy) for _, outcome in measured]
    best = [rows[place] for place in front(points)]
    clean, adversarial = zip(*points, strict=True)
    ends = (max(min(clean), min(adversarial)), min(max(clean), max(adversarial)))
    apart = alt.Scale(zero=False, padding=12)
    x = alt.X("clean:Q", title="clean accuracy", axis=_percent(), scale=apart)
    y = alt.Y("adversarial:Q", title="adversarial accuracy", axis=_percent(), scale=apart)
    equal = (
        of([{"clean": edge, "adversarial": edge} for edge in ends])
        .mark_line(style="quiet", strokeDash=[4, 4], strokeWidth=1, tooltip=False)
        .encode(x, y)
    )
    dots = (
        of(rows)
        .mark_point(filled=True, size=50, opacity=0.85)
        .encode(
            x,
            y,
            alt.Color(
                "generation:Q", legend=alt.Legend(orient="top", tickMinStep=1, format="d", gradientLength=160)
            ),
            tooltip=TOOLTIP,
        )
    )
    edge = (
        of(best)
        .mark_line(style="strong", fillOpacity=0, interpolate="step-before", strokeWidth=1.5, tooltip=False)
        .encode(x, y)
    )
    rings = (
        of(best)
        .mark_point(style="strong", filled=False, fillOpacity=0, size=90, strokeWidth=1.5)
        .encode(x, y, tooltip=TOOLTIP)
    )
    names = [
        of([_row(step) | {"name": name}])
        .mark_text(
            align="right" if place % 2 == 0 else "left", dx=(-10, 10)[place % 2], dy=(-10, 12)[place % 2]
        )
        .encode(x, y, alt.Text("name:N"), tooltip=TOOLTIP)
        for place, (name, step) in enumerate(winners.items())
    ]
    return finished(
        alt.layer(equal, dots, edge, rings, *names).properties(height=380),
        "accuracies",
        "Clean against adversarial accuracy",
        f"Every trained child on the {split} images. Ringed and joined: the Pareto front, which no other "
        "child betters in both. Above the dashed line the clean accuracy is the smaller one and so the "
        "fitness; below it, the adversarial accuracy. The names are those of the networks that the search "
        "ends with.",
    )


def lineage(steps: Sequence[Step], winners: Mapping[str, Step]) -> Chart:
    """Who stood in which slot for how long, and who came of whom."""
    end = max(step.time for step in steps)
    slots = _slots(steps)
    lines = {
        f"leads to {name}": {step.number for step in ancestry(steps, winner)}
        for name, winner in winners.items()
    }
    stood: Data = []
    born: Data = []
    for step in steps:
        if step.took is None:
            continue
        leading = [name for name, line in lines.items() if step.number in line]
        kind = SEVERAL if len(leading) > 1 else leading[0] if leading else DIED_OUT
        until = end if step.until is None else steps[step.until - 1].time
        row = _row(step) | {"until": until, "line": kind}
        stood.append(row)
        if step.parent is not None:
            born.append(row | {"from": str(steps[step.parent - 1].took)})
    kinds = [kind for kind in (*lines, SEVERAL, DIED_OUT) if any(row["line"] == kind for row in stood)]
    colour = alt.Color(
        "line:N",
        scale=alt.Scale(domain=kinds, range=_colours(kinds)),
        legend=alt.Legend(title=None, orient="top", columns=2, symbolType="stroke"),
    )
    width = alt.when(alt.datum.line == DIED_OUT).then(alt.value(1.5)).otherwise(alt.value(3))
    y = alt.Y("slot:N", title="candidate slot", scale=alt.Scale(domain=slots), axis=alt.Axis(grid=False))
    tenures = (
        of(stood)
        .mark_rule(strokeCap="round")
        .encode(_generations(end), y, alt.X2("until:Q"), color=colour, strokeWidth=width, tooltip=TOOLTIP)
    )
    births = (
        of(born)
        .mark_rule()
        .encode(
            _generations(end),
            alt.Y("from:N", scale=alt.Scale(domain=slots)),
            alt.Y2("slot:N"),
            color=colour,
            strokeWidth=width,
            tooltip=TOOLTIP,
        )
    )
    dots = (
        of(stood)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(_generations(end), y, color=colour, tooltip=TOOLTIP)
    )
    labels = (
        of([{"name": name, "slot": str(step.took)} for name, step in winners.items()])
        .mark_text(align="right", dy=-10)
        .encode(alt.X(datum=end), y, alt.Text("name:N"))
    )
    return finished(
        alt.layer(births, tenures, dots, labels).properties(height=52 * len(slots)),
        "lineage",
        "Lineage",
        "A horizontal line is a candidate for as long as it stands in a slot. It begins at a mark, an "
        "accepted child or, in generation 0, an initial candidate; a vertical line comes from the slot "
        "that its parent stood in. Children that were rejected are not shown.",
    )


def _colours(kinds: Sequence[str]) -> list[str]:
    """Grey for what died out, and one for each other kind; all are read on a light and on a dark page."""
    colours = cycle(("#D55E00", "#1F86C4", "#009E73", "#B6579A", "#A87400"))
    return ["#8d949f" if kind == DIED_OUT else next(colours) for kind in kinds]


def _percent() -> alt.Axis:
    return alt.Axis(format=".0%", tickCount=6)
