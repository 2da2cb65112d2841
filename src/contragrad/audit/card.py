"""The report card as plain values: a verdict in sentences, a row for each attempt, and the checks."""

from typing import Any

from contragrad.audit.attackers import ATTACKERS, Attacker
from contragrad.audit.attempts import Attempt
from contragrad.audit.checks.baselines import NEITHER
from contragrad.audit.checks.every import judged
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings, shares
from contragrad.audit.settings import radius
from contragrad.audit.verdict import rule, title, verdict
from contragrad.evaluate import Share


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
        "unknown_below": findings.unknown_below,
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


def _attacker(findings: Findings, attacker: Attacker) -> dict[str, Any]:
    tried = findings.tried.get(attacker.key, ())
    return {
        "attacker": attacker.key,
        "threat": attacker.threat,
        "standing": findings.standing(attacker.key),
        "doubt": findings.doubt(attacker.key) if tried else None,
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
        "steps": _steps(attempt),
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


def _steps(attempt: Attempt) -> int | None:
    """Of an attack that has them."""
    if attempt.way == "noise" or attempt.attack.name == "autoattack":
        return None
    return 1 if attempt.attack.name == "fgsm" else attempt.attack.steps


def by_queries(findings: Findings, each: Tried) -> list[list[float]]:
    """How large a share of the correctly classified images is fooled within how many answers."""
    counted = int(findings.clean.sum())
    needed = each.held.queries[findings.clean & ~each.held.right].sort().values.tolist()
    allowed = each.attempt.attack.steps
    budgets = [10**power * step for power in range(len(str(allowed))) for step in (1, 2, 5)]
    return [
        [budget, sum(count <= budget for count in needed) / counted if counted else 0.0]
        for budget in (*(budget for budget in budgets if budget < allowed), allowed)
    ]


def _share(share: Share) -> dict[str, Any]:
    interval = None if share.interval is None else list(share.interval)
    return {"share": share.share, "hits": share.hits, "count": share.count, "interval": interval}
