"""From a run folder to its page and the files of its figures."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from contragrad import evaluate
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.files import named, write_text
from contragrad.outside import LONGEST_YAML, read_text
from contragrad.page import cards, cost, drawings, render
from contragrad.page.blocks import Block, Chart, Folded, Picture, Section
from contragrad.page.cost import Cost
from contragrad.page.drawings import embedded
from contragrad.page.sections import sections
from contragrad.page.story import Story, drawn_networks
from contragrad.page.theme import drawn
from contragrad.page.training import curves
from contragrad.run_folder import history
from contragrad.run_folder.history import History
from contragrad.run_folder.workspace import TABLE

PAGE = "report.html"

OWN = re.compile(
    r"(table|fitness|accuracies|lineage|training|audit-\d+|architecture-\d+)\.svg|integrated-gradients\.png|\..*\.tmp"
)
"""Names of figures' files, whole or left by a kill."""


def write(folder: Path, out: Path | None = None, *, call_factory: bool = False) -> Path:
    """Writes the page of a run as far as it has come; the run itself is only read.

    Args:
        folder: the run folder.
        out: the page's file; `report.html` in the run folder if left out. The figures' files lie in a folder
            beside it that has its name and ends in `.figures`.
        call_factory: whether the reference's factory is called, which runs its code, for a picture. Nothing
            else of a run folder is run.

    Returns:
        The page's file.

    Raises:
        UserError: if the folder holds no study, if a file cannot be read or written, or if the figures'
            folder holds other files, which are left as they are.
    """
    path = out or folder / PAGE
    if path.suffix != ".html":
        raise UserError(
            "the page has no name that ends in .html", where=f"--out {path}", remedy=f"{path}.html"
        )
    figures = path.with_suffix(".figures")
    _require_own(figures)
    story = _read(folder, figures, call_factory)
    shown = sections(story)
    stills = {}
    for chart in _charts(shown):
        file = figures / chart.name
        write_text(file, drawn(chart))
        stills[chart.name] = embedded(file)
    config = story.config
    title = f"Transfer resistance from {config.reference.factory or config.reference.architecture}"
    data = config.data.source if config.data.path is None else f"{config.data.source}, {config.data.path}"
    subtitle = (
        f"Run {folder}; data: {data}; objective: {config.training.objective}; seed {config.seed}. Written "
        f"{story.written:%Y-%m-%d %H:%M} UTC by contragrad {story.version}."
    )
    write_text(path, render.page(title, subtitle, shown, stills))
    return path


def _require_own(figures: Path) -> None:
    """Refuses a folder of somebody else's files, which figures might replace."""
    with named(figures, "the folder cannot be read"):
        files = figures.iterdir() if figures.is_dir() else ()
        others = sorted(file.name for file in files if not OWN.fullmatch(file.name))
    if others:
        raise UserError(
            f"the folder for figures holds {others[0]}, which is none",
            where=str(figures),
            remedy="another --out",
        )


def _read(folder: Path, figures: Path, call_factory: bool) -> Story:
    """All that the page tells; draws what matplotlib draws into the folder of figures."""
    found = history.load(folder)
    table = folder / TABLE
    rows = evaluate.read(table) if table.is_file() else ()
    with named(figures, "the folder cannot be made"):
        figures.mkdir(parents=True, exist_ok=True)
    return Story(
        folder=folder,
        history=found,
        rows=rows,
        cost=cost.read(folder, found.told) if found.state is not None else Cost(),
        cards=cards.read(folder),
        study_file=read_text(history.stored_path(folder), LONGEST_YAML, "the study file cannot be read", ""),
        architectures=_architectures(found, figures),
        attributions=_attributions(folder, found, rows, figures, call_factory),
        curves=curves(folder, found),
        written=datetime.now(UTC),
        version=version("contragrad"),
    )


def _architectures(found: History, figures: Path) -> Sequence[Picture] | str:
    if found.state is None:
        return "The search has not begun, so there is no network to draw."
    return drawings.architectures(drawn_networks(found), found.state.problem, figures)


def _attributions(
    folder: Path, found: History, rows: Sequence[Row], figures: Path, call_factory: bool
) -> Picture | str:
    """Integrated gradients of networks that were measured on the test images, or why there are none."""
    if not rows or found.state is None or not found.state.finished:
        return (
            "Integrated gradients are shown once the networks have been trained in full and measured on "
            "the test images."
        )
    try:
        workspace = history.stored_workspace(folder)
        return drawings.attributions(workspace, found.state, rows, figures, call_factory=call_factory)
    except UserError as error:
        where = f" ({error.where})" if error.where else ""
        remedy = f" Try: `{error.remedy}`." if error.remedy else ""
        return f"There is no picture here, for {error.what}{where}.{remedy}"


def _charts(shown: Sequence[Section]) -> Iterator[Chart]:
    def within(blocks: Sequence[Block]) -> Iterator[Chart]:
        for block in blocks:
            if isinstance(block, Chart):
                yield block
            elif isinstance(block, Folded):
                yield from within(block.blocks)

    for section in shown:
        yield from within(section.blocks)
