"""All checks in the order of their numbers."""

from contragrad.audit.checks import attack, baselines, claim, masking, transfer
from contragrad.audit.checks.check import Check, Result
from contragrad.audit.findings import Findings

CHECKS: tuple[Check, ...] = (
    *claim.CHECKS,
    *attack.CHECKS,
    *masking.CHECKS,
    *transfer.CHECKS,
    *baselines.CHECKS,
)


def judged(findings: Findings) -> list[tuple[Check, Result]]:
    """Every check with its result."""
    return [(check, check.judge(findings)) for check in CHECKS]
