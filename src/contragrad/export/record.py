"""What a run folder holds of a network beside its weights: its row in the table, and its audits."""

from dataclasses import dataclass
from pathlib import Path

from contragrad import evaluate
from contragrad.audit import card
from contragrad.audit.target import Target
from contragrad.evaluate import Row
from contragrad.run_folder import history
from contragrad.run_folder.workspace import TABLE, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an audit of the network came to, or that its card cannot be read.

    Args:
        title: of its card.
        text: the verdict in sentences.
        card: the card's place in the run folder.
    """

    title: str
    text: str
    card: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a network.

    Args:
        row: its row in the study's table, if it has one.
        looks: how many sets of networks were measured on the test images.
        verdicts: what its audits found, one for each epsilon.
    """

    row: Row | None
    looks: int
    verdicts: tuple[Verdict, ...]


def recorded(workspace: Workspace, target: Target) -> Record:
    """What the run folder holds of just this network, not of one that had its name before.

    Raises:
        UserError: if the table cannot be read.
    """
    table = workspace.folder / TABLE
    rows = evaluate.read(table) if table.is_file() else ()
    own = (target.name, str(target.weights.relative_to(workspace.folder)))
    verdicts = (_verdict(path, workspace, target) for path in card.paths(workspace.folder))
    return Record(
        row=next((row for row in rows if (row.name, row.weights) == own), None),
        looks=history.load(workspace.folder).looks,
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
    )


def _verdict(path: Path, workspace: Workspace, target: Target) -> Verdict | None:
    found, place = card.read(path), path.relative_to(workspace.folder)
    if isinstance(found, card.Unreadable):
        text = f"It may be of this network or of another: {found.why}; contragrad audit writes it anew."
        return Verdict(title="An audit whose card cannot be read", text=text, card=place)
    if found.fingerprint != target.fingerprint:
        return None
    return Verdict(title=f"{found.title}, epsilon {found.epsilon}", text=found.verdict, card=place)
