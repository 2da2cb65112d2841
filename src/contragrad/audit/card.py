"""The report card: a verdict in sentences, a row for each attempt, and the checks, as values and as text."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from contragrad.audit.attackers import ATTACKERS, Attacker
from contragrad.audit.checks.baselines import NEITHER
from contragrad.audit.checks.check import Check, Result, said
from contragrad.audit.checks.claim import gain
from contragrad.audit.checks.every import judged
from contragrad.audit.checks.masking import order
from contragrad.audit.findings import ENOUGH_QUERIES, STRONG, Findings, Standing, Tried, shares
from contragrad.audit.settings import radius
from contragrad.evaluate import Share


def verdict(findings: Findings) -> str:
    """What the audit comes to, in a few sentences."""
    facts, by_key = findings.facts, {attacker.key: attacker for attacker in ATTACKERS}
    l2 = radius(findings.settings.l2_epsilon)
    ball = f"L_inf {radius(findings.settings.epsilon)} (the reference's attacker also at L_2 {l2})"
    clean = shares(findings.clean)
    lines = [
        f"{facts.target} classifies {said(clean)} of {findings.images:,} test images correctly; "
        f"what follows is of those, at {ball}."
    ]
    if clean.interval is None or clean.interval[0] <= facts.chance:
        lines.append("That is not above chance: what it withstands says nothing.")
    strongest, weakest = findings.withstood, findings.defeated_by
    if not any(findings.tried.values()):
        lines.append("No attacker was run, so nothing is known of what it withstands.")
    elif strongest is None:
        lines.append("There is no attacker whom it withstands together with all weaker ones.")
    else:
        lines.append(f"The strongest attacker it withstands: {_told(findings, by_key[strongest])}")
    if weakest is None and any(findings.tried.values()):
        lines.append("None of the attackers who were run defeats it.")
    elif weakest is not None:
        lines.append(f"The weakest attacker who defeats it: {_told(findings, by_key[weakest])}")
    weakened = [key for key in by_key if findings.standing(key) == "weakened"]
    if weakened:
        lines.append(
            "It is weakened by: "
            + "; ".join(f"{key} (fools {said(findings.fooled(findings.tried[key]))})" for key in weakened)
            + "."
        )
    weak = [key for key in by_key if findings.standing(key) == "inconclusive"]
    if weak:
        lines.append(
            f"Inconclusive, because they fool their own sources on fewer than {STRONG:.0%} of the images, or "
            f"had too few queries: {', '.join(weak)}."
        )
    if not facts.recipe_known:
        lines.append(
            f"How it was trained is not known: attackers who know the recipe are taken to know "
            f"{facts.objective}, {facts.epochs} epochs, which says little if it was another."
        )
    left = [key for key in by_key if findings.standing(key) == "not run"]
    if left:
        lines.append(f"Not run, so nothing is known of: {', '.join(left)}.")
    if text := gain(findings):
        lines.append(text)
    masked = order(findings)
    if masked.verdict == "FAIL":
        lines.append(
            f"Its gradients mislead the white-box attack ({masked.figure}), whose figure is too good."
        )
    return " ".join(lines)


def _told(findings: Findings, attacker: Attacker) -> str:
    fooled = findings.fooled(findings.tried[attacker.key])
    return f"{attacker.key}, who fools {said(fooled)}. {attacker.threat}"


def content(findings: Findings) -> dict[str, Any]:
    """The card as plain values."""
    facts = findings.facts
    return {
        "title": title(findings),
        "verdict": verdict(findings),
        "target": {
            "name": facts.target,
            "architecture": facts.architecture,
            "objective": facts.objective,
            "epochs": facts.epochs,
            "weights": facts.weights,
            "fingerprint": facts.fingerprint,
        },
        "reference": facts.reference,
        "epsilon": radius(findings.settings.epsilon),
        "l2_epsilon": str(findings.settings.l2_epsilon),
        "images": findings.images,
        "clean_accuracy": _share(shares(findings.clean)),
        "withstood": findings.withstood,
        "defeated_by": findings.defeated_by,
        "rule": rule(findings),
        "attackers": [_attacker(findings, attacker) for attacker in ATTACKERS],
        "compared": {
            name: {
                "clean_accuracy": _share(shares(each.clean)),
                "adversarial_accuracy": _share(shares(each.adversarial)),
                "architecture": each.architecture,
                "objective": each.objective,
                "epochs": each.epochs,
            }
            for name, each in findings.compared.items()
        },
        "more": [_row(findings, each) for each in findings.extra],
        "left_out": dict(findings.missing),
        "checks": [
            {
                "number": check.number,
                "question": check.question,
                "verdict": result.verdict,
                "figure": result.figure,
                "source": check.source,
            }
            for check, result in judged(findings)
        ],
        "statement": NEITHER,
    }


def title(findings: Findings) -> str:
    """What is measured, and no more."""
    return f"transfer resistance of {findings.facts.target} from {findings.facts.reference}"


def rule(findings: Findings) -> str:
    """When an attacker is withstood, and when he defeats."""
    tolerated = 100 * findings.settings.tolerated
    return (
        f"withstood: the attacker's best example of each image fools at most {tolerated:g} % of those that "
        "the network classifies correctly, by the upper end of the 95 % Wilson interval; defeated: at least "
        "half of them, by its lower end, or all; weakened: in between; inconclusive: withstood, but no "
        f"source is fooled itself on {STRONG:.0%} of its images, or there were fewer than {ENOUGH_QUERIES:,} "
        "queries"
    )


def _attacker(findings: Findings, attacker: Attacker) -> dict[str, Any]:
    tried = findings.tried.get(attacker.key, ())
    return {
        "attacker": attacker.key,
        "threat": attacker.threat,
        "standing": findings.standing(attacker.key),
        "fooled": _share(findings.fooled(tried)) if tried else None,
        "accuracy": _share(shares(findings.survivors(tried))) if tried else None,
        "attempts": [_row(findings, each) for each in tried],
        "left_out": {
            name: why
            for name, why in findings.missing.items()
            if name in (*attacker.sources(findings.settings), attacker.joined)
            or name.startswith(f"{attacker.key}: ")
        },
    }


def _row(findings: Findings, each: Tried) -> dict[str, Any]:
    attempt, held = each.attempt, each.held
    row: dict[str, Any] = {
        "source": attempt.source,
        "attack": attempt.label,
        "epsilon": radius(attempt.attack.epsilon),
        "steps": attempt.attack.steps,
        "restart": attempt.restart,
        "accuracy": _share(shares(findings.clean & held.right)),
        "fooled": _share(findings.fooled([each])),
        "source_fooled": _share(findings.source_fooled(each)),
        "transferred": _share(findings.transferred(each)),
        "mean_linf": float(held.linf.mean()),
        "mean_l2": float(held.l2.mean()),
    }
    if len(held.queries):
        row["fooled_by_queries"] = by_queries(findings, each)
    return row


def by_queries(findings: Findings, each: Tried) -> list[list[float]]:
    """How large a share of the correctly classified images is fooled within how many answers."""
    counted = int(findings.clean.sum())
    needed = each.held.queries[findings.clean & ~each.held.right].sort().values.tolist()
    budgets = [10**power * step for power in range(5) for step in (1, 2, 5)]
    return [
        [budget, sum(count <= budget for count in needed) / counted if counted else 0.0]
        for budget in budgets
        if budget <= each.attempt.attack.steps
    ]


def _share(share: Share) -> dict[str, Any]:
    interval = None if share.interval is None else list(share.interval)
    return {"share": share.share, "hits": share.hits, "count": share.count, "interval": interval}


WORDS: dict[Standing, str] = {
    "withstood": "withstands him",
    "inconclusive": "inconclusive",
    "weakened": "is weakened",
    "defeated": "is defeated",
    "not run": "not run",
}
"""How the network stands, as its row says it."""


def attackers_table(findings: Findings) -> Table:
    """A row for each attacker, from weak to strong."""
    table = Table(title="attackers, from weak to strong", title_justify="left", caption=rule(findings))
    for column in (
        "attacker",
        "sources",
        "fools his sources",
        "accuracy (all images)",
        "fooled",
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
        tried, standing = findings.tried.get(attacker.key, ()), findings.standing(attacker.key)
        sources = len({each.attempt.source for each in tried})
        table.add_row(
            attacker.key,
            str(sources),
            said(max((findings.source_fooled(each) for each in tried), key=_strength)) if tried else "–",
            said(shares(findings.survivors(tried))) if tried else "–",
            said(findings.fooled(tried)) if tried else "–",
            f"[{colours[standing]}]{WORDS[standing]}[/]",
        )
    return table


def _strength(share: Share) -> float:
    return share.share or 0.0


def notes(findings: Findings) -> str:
    """What each attacker knows and does, and what was left out and why, a line each."""
    threats = [f"{attacker.key}: {attacker.threat}" for attacker in ATTACKERS]
    left = [f"left out, {what}: {why}" for what, why in findings.missing.items()]
    return "\n".join([*threats, *left])


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
