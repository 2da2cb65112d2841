"""What a run folder holds of a network beside its weights: its row in the table, and its audits."""

from dataclasses import dataclass
from pathlib import Path

from contragrad import evaluate
from contragrad.audit.target import Target
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.run_folder import history
from contragrad.run_folder.workspace import TABLE, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an audit of the network came to.

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
        UserError: if the table or a card cannot be read.
    """
    table = workspace.folder / TABLE
    rows = evaluate.read(table) if table.is_file() else ()
    own = (target.name, str(target.weights.relative_to(workspace.folder)))
    cards = sorted(workspace.folder.glob("audit/*/*/card.json"))
    verdicts = (_verdict(path, workspace, target) for path in cards)
    return Record(
        row=next((row for row in rows if (row.name, row.weights) == own), None),
        looks=history.load(workspace.folder).looks,
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
    )


def _verdict(path: Path, workspace: Workspace, target: Target) -> Verdict | None:
    remedy = "contragrad audit writes it anew"
    text = read_text(path, LONGEST_JSON, "an audit's card cannot be read", remedy)
    try:
        card = from_json(text)
        if card["target"]["fingerprint"] != target.fingerprint:
            return None
        return Verdict(
            title=f"{card['title']}, epsilon {card['epsilon']}",
            text=str(card["verdict"]),
            card=path.relative_to(workspace.folder),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("an audit's card cannot be read", where=str(path), remedy=remedy) from error
