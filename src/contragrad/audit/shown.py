"""The report card as people see it: on the terminal, as a text file, and with its pictures."""

import io
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from math import ceil
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from contragrad.audit.attackers import ATTACKERS, REFERENCE
from contragrad.audit.bouts import SHARE
from contragrad.audit.card import CARD, content
from contragrad.audit.checks.baselines import NEITHER
from contragrad.audit.checks.check import Check, Result
from contragrad.audit.checks.every import judged
from contragrad.audit.figures import (
    QUANTILES,
    alignment,
    asked,
    attacks_of,
    by_queries,
    matrix,
    tenfold,
)
from contragrad.audit.findings import Findings
from contragrad.audit.pace import duration
from contragrad.audit.plots import PICTURES
from contragrad.audit.runner import PROBED
from contragrad.audit.standing import Standing, deciding, doubt, in_linf, standing_of
from contragrad.audit.statistics import said
from contragrad.audit.verdict import rule, sentences, title
from contragrad.evaluate import Share
from contragrad.files import named, write_text

TEXT = "card.txt"

WORDS: dict[Standing, str] = {
    "withstood": "withstands him",
    "inconclusive": "inconclusive",
    "weakened": "is weakened",
    "defeated": "is defeated",
    "not run": "not run",
}
"""How the network stands, as its row says it."""


def printed(findings: Findings, console: Console) -> None:
    """Shows the card."""
    console.rule(Text(title(findings)), align="left")
    parts = (
        Text("\n".join(sentences(findings))),
        attackers_table(findings),
        Text(rule(findings)),
        Text(notes(findings)),
        Text(measured(findings)),
        matrix_table(findings),
        alignment_table(findings),
        checks_table(judged(findings)),
    )
    for part in parts:
        console.print(part)
        console.print()


def write(findings: Findings, folder: Path) -> None:
    """Writes the card and its pictures into a folder, which is made if it is not there.

    Raises:
        UserError: if a file cannot be written.
    """
    with named(folder, "the folder cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CARD, json.dumps(content(findings), indent=1) + "\n")
    page = Console(width=120, file=io.StringIO())
    with page.capture() as text:
        printed(findings, page)
    write_text(folder / TEXT, text.get())
    for name, (_, draw) in PICTURES.items():
        draw(findings, folder / name)


def attackers_table(findings: Findings) -> Table:
    """A row for each attacker, from weak to strong."""
    table = Table(title="attackers, from weak to strong", title_justify="left")
    for column in (
        "attacker",
        "sources",
        "fools his sources",
        "accuracy (all images)",
        "fooled",
        "with all before",
        "an ordinary network",
        "the network",
    ):
        table.add_column(column, overflow="fold")
    colours: dict[Standing, str] = {
        "withstood": "green",
        "inconclusive": "blue",
        "weakened": "yellow",
        "defeated": "red",
        "not run": "dim",
    }
    for attacker in ATTACKERS:
        own, decides = in_linf(findings, attacker.key), deciding(findings, attacker.key)
        tried, standing = findings.tried.get(attacker.key, ()), standing_of(findings, attacker.key)
        # Steps down a source's loss are not meant to fool it.
        meant = [findings.source_fooled(each) for each in own if each.attempt.way != "reversed"]
        table.add_row(
            attacker.key,
            str(len({each.attempt.source for each in tried})),
            said(max(meant, key=_strength)) if meant else "–",
            said(Share.of(findings.survivors(decides))) if decides else "–",
            said(findings.fooled(decides)) if decides else "–",
            _said(findings.fooled_so_far(attacker.key)),
            _said(findings.ordinary_fooled(own)),
            f"[{colours[standing]}]{WORDS[standing]}[/]",
        )
    return table


def _said(share: Share | None) -> str:
    return "–" if share is None else said(share)


def _strength(share: Share) -> float:
    return share.share or 0.0


def notes(findings: Findings) -> str:
    """Why an attacker is inconclusive, what each knows and does, what was left out and why, a line each."""
    doubts = [
        f"inconclusive, {attacker.key}: {doubt(findings, attacker.key)}"
        for attacker in ATTACKERS
        if standing_of(findings, attacker.key) == "inconclusive"
    ]
    threats = [f"{attacker.key}: {attacker.threat(findings.settings)}" for attacker in ATTACKERS]
    left = [
        f"left out, {what}: {why}" for what, why in findings.missing.items() if what not in findings.too_long
    ]
    return "\n".join([*doubts, *threats, *left, *_too_long(findings)])


def _too_long(findings: Findings) -> Iterator[str]:
    """What there was no time for, and the budget that has time for it, by rough estimates."""
    if long := findings.too_long:
        # A part of any budget is kept for what is measured at the end.
        budget = (findings.settings.minutes or 0.0) + sum(long.values()) / 60 / SHARE / (1 - PROBED)
        each = "; ".join(f"{what} ({duration(cost)})" for what, cost in long.items())
        yield (
            f"left out for lack of time, by rough estimates; the same command with a --budget of about "
            f"{ceil(budget)} goes on and has time for these: {each}"
        )


def measured(findings: Findings) -> str:
    """The figures that stand in no table, a line each."""
    facts, right = findings.facts, Share.of(findings.source_clean[REFERENCE])
    lines = [
        f"the reference: {facts.reference}, {facts.reference_made}; it classifies {said(right)} correctly",
        f"the images: {facts.data}",
        f"made with contragrad {version('contragrad')} and torch {version('torch')}",
    ]
    for each in asked(findings):
        told = ", ".join(
            f"{100 * share:.1f} % within {budget:,}" for budget, share in tenfold(by_queries(findings, each))
        )
        lines.append(f"queries, {each.attempt.label}: fools {told} answers for an image")
    if (copy := findings.probes.agreement) is not None:
        lines.append(f"distillation: the copy gives the network's class to {said(copy)} of the images")
    return "\n".join(lines)


def matrix_table(findings: Findings) -> Group:
    """A row for each source and a narrow column for each attack, numbered, under what the numbers are."""
    found = matrix(findings)
    attacks = attacks_of(found)
    legend = "; ".join(f"{number} {name}" for number, name in enumerate(attacks, start=1))
    table = _narrow()
    for number in range(1, len(attacks) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for source, row in found.items():
        table.add_row(source, *(f"{100 * row[name]:.0f}" if name in row else "" for name in attacks))
    return Group(Text(f"accuracy in % by source and attack: {legend or 'none was run'}"), table)


def alignment_table(findings: Findings) -> Group:
    """A row for each source: how its input gradients lie to the network's."""
    found = alignment(findings)
    over = "over images" if found else "none: the network has no gradient at any image"
    table = _narrow()
    for name in ("mean", *QUANTILES):
        table.add_column(name, justify="right", no_wrap=True)
    for source, row in found.items():
        table.add_row(source, *(f"{row[name]:+.2f}" for name in ("mean", *QUANTILES)))
    return Group(Text(f"cosine between the network's input gradient and a source's, {over}"), table)


def _narrow() -> Table:
    """A table whose first column has sources, with little room between the others.

    It has no title, which would be broken to its width.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("source", overflow="fold", max_width=32)
    return table


def checks_table(judgements: Sequence[tuple[Check, Result]]) -> Table:
    """A row for each check."""
    table = Table(title="checks", title_justify="left", caption=NEITHER)
    for column in ("", "check", "verdict", "figure"):
        table.add_column(column, overflow="fold")
    colours = {"PASS": "green", "FAIL": "red", "UNKNOWN": "dim"}
    for check, result in judgements:
        table.add_row(
            str(check.number),
            check.question,
            f"[{colours[result.verdict]}]{result.verdict}[/]",
            Text(result.figure),  # a string would be read as markup
        )
    return table
