"""The curves of the trainings in full: whether they are flat is for the reader to see."""

from collections.abc import Iterable, Mapping
from math import isnan
from pathlib import Path
from typing import Any

import altair as alt

from contragrad.jobs import full_trainings
from contragrad.jobs.curve import Curve, curve_of
from contragrad.jobs.tasks import task_name
from contragrad.page.blocks import Chart, Grid, Section, Words
from contragrad.page.story import Story
from contragrad.page.theme import finished, of
from contragrad.report import percent
from contragrad.run_folder.history import History, stored_workspace


def curves(folder: Path, found: History) -> dict[str, Curve]:
    """The curves of a study's networks that were trained in full, by the names that its table gives them."""
    if found.state is None or not found.state.finished:
        return {}
    workspace = stored_workspace(folder)
    tasks = full_trainings.planned_trainings(workspace, found.state)
    curves = {task.name: curve_of(workspace.artefacts, task_name(task, workspace)) for task in tasks}
    return {name: curve for name, curve in curves.items() if curve is not None}


def training(story: Story) -> Section:
    """How the networks' trainings in full went."""
    title = "Training in full"
    if not story.curves:
        text = (
            "Networks are trained in full once the search has ended."
            if not story.finished
            else "No curve of a training is there: no network was trained in full yet, or by a version of "
            "contragrad that kept none, or the files are lost."
        )
        return Section("training", title, [Words(text)])
    split = story.config.fitness_split
    grid = Grid(
        caption="Each network's training; losses are the kept epoch's, – is what is not known or not there",
        header=("network", "epochs", "weights kept of epoch", "fitness", "cross-entropy", "penalty"),
        rows=[_row(name, curve) for name, curve in story.curves.items()],
        numbers=(1, 2, 3, 4, 5),
    )
    judged = {name: curve for name, curve in story.curves.items() if curve.best_epoch is not None}
    chart = _fitness(judged, split) if judged else _losses(story.curves)
    return Section("training", title, [chart, grid])


def _row(name: str, curve: Curve) -> tuple[str, ...]:
    if (kept := curve.kept_epoch) is None:
        return name, str(curve.epochs), *["–"] * 4
    fitness, *losses = (values[kept - 1] for values in (curve.fitness, curve.cross_entropy, curve.alignment))
    said = ("–" if isnan(loss) else f"{loss:.3f}" for loss in losses)
    return name, str(curve.epochs), str(kept), "–" if isnan(fitness) else percent(fitness), *said


def _fitness(curves: Mapping[str, Curve], split: str) -> Chart:
    rows = _points({name: curve.fitness for name, curve in curves.items()})
    kept = [row for row in rows if row["epoch"] == curves[row["network"]].best_epoch]
    axis = alt.Axis(format=".0%", tickCount=6)
    marks = of(kept).mark_point(filled=True, size=70, opacity=1)
    return _finished(
        (of(rows).mark_line(strokeWidth=2), marks),
        alt.Y("value:Q", title="fitness", axis=axis, scale=alt.Scale(zero=False)),
        curves,
        "Fitness by epoch",
        f"Fitness is the smaller of clean and adversarial accuracy on the {split} images, after each epoch "
        "of the training in full. The mark is the epoch whose weights were kept. Networks without a defence "
        "keep their last weights, and have no line; one that is deployed with surrogates is judged alone.",
    )


def _losses(curves: Mapping[str, Curve]) -> Chart:
    rows = _points({name: curve.cross_entropy for name, curve in curves.items()})
    return _finished(
        (of(rows).mark_line(strokeWidth=2),),
        alt.Y("value:Q", title="cross-entropy", scale=alt.Scale(zero=False)),
        curves,
        "Cross-entropy by epoch",
        "The mean over the training images in each epoch of the training in full. No network has a line of "
        "its fitness: its last weights were kept, or it is not known which.",
    )


def _points(values: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {"network": name, "epoch": epoch, "value": value}
        for name, curve in values.items()
        for epoch, value in enumerate(curve, start=1)
        if not isnan(value)
    ]


def _finished(
    marks: Iterable[alt.Chart], height: alt.Y, names: Iterable[str], title: str, caption: str
) -> Chart:
    epochs = alt.X("epoch:Q", title="epoch", axis=alt.Axis(format="d", tickMinStep=1))
    legend = alt.Legend(title=None, orient="top", columns=2, symbolType="stroke")
    colour = alt.Color("network:N", scale=alt.Scale(domain=list(names)), legend=legend)
    plot = alt.layer(*(each.encode(epochs, height, colour) for each in marks)).properties(height=320)
    return finished(plot, "training", title, caption)
