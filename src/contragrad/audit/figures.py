"""Figures of a card that are series, not shares: sources x attacks, success by queries, cosines by source."""

from collections.abc import Sequence

import torch

from contragrad.audit.attackers import ATTACKERS
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.evaluate import Share

Matrix = dict[str, dict[str, float]]
"""Source -> attack -> accuracy."""

QUANTILES = {"5 %": 0.05, "50 %": 0.5, "95 %": 0.95}
"""Of the images' cosines."""


def matrix(findings: Findings) -> Matrix:
    """The target's accuracy on the examples of each source by each attack; the worst of several starts."""
    found: dict[str, dict[str, list[Tried]]] = {}
    for attacker in ATTACKERS:
        for each in findings.tried.get(attacker.key, ()):
            found.setdefault(each.attempt.source, {}).setdefault(each.attempt.label, []).append(each)
    return {
        source: {name: Share.of(findings.survivors(tried)).share or 0.0 for name, tried in row.items()}
        for source, row in found.items()
    }


def attacks_of(found: Matrix) -> list[str]:
    """The matrix's columns."""
    return list(dict.fromkeys(name for row in found.values() for name in row))


def asked(findings: Findings) -> list[Tried]:
    """The attempts of which answers were counted."""
    return [each for tried in findings.tried.values() for each in tried if len(each.held.queries)]


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


def tenfold(points: Sequence[Sequence[float]]) -> list[tuple[int, float]]:
    """Of success by queries, the points at powers of ten from 10 on, and the last."""
    tens = [point for point in points[:-1] if point[0] >= 10 and str(int(point[0])).strip("0") == "1"]
    return [(int(budget), share) for budget, share in (*tens, points[-1])]


def alignment(findings: Findings) -> dict[str, dict[str, float]]:
    """The cosines between the target's input gradient and each source's: their mean, quantiles and number.

    Nothing where the target has no gradient at any image.
    """
    if findings.probes.zero_gradients + findings.probes.broken_gradients >= 1:
        return {}
    return {
        name: {
            "mean": float(cosines.mean()),
            **{said: float(torch.quantile(cosines.double(), share)) for said, share in QUANTILES.items()},
            "images": len(cosines),
        }
        for name, cosines in findings.probes.aligned.items()
    }
