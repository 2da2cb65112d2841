"""A check's verdict, and the sources that checks are taken from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from contragrad.audit.findings import Findings
from contragrad.audit.standing import ENOUGH_PROBED, deciding, doubt, standing_of
from contragrad.audit.statistics import said

Verdict = Literal["PASS", "FAIL", "UNKNOWN"]

CARLINI = "Carlini et al. 2019, On evaluating adversarial robustness"
AUTOATTACK = "Croce and Hein 2020, AutoAttack's flags"
INDICATORS = "Pintor et al. 2022, Indicators of attack failure"
TRANSFER_EVALUATION = "Zhao et al. 2023, revisiting transferable adversarial examples"
TA_BENCH = "Li et al. 2023, TA-Bench"
TRS = "Yang et al. 2021, TRS"
LOTOS = "LOTOS, reviews of ICLR 2025"
PUBDEF = "PubDef, reviews of ICLR 2024"
BLACK_BOX = "Mahmood et al. 2021, Beware the black-box"
CROSSMAX = "Jordan 2024, evaluating CrossMax"
OWN = "contragrad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a check came to.

    Args:
        verdict: FAIL is a reason to mistrust the evaluation or the network; UNKNOWN was not measured.
        figure: what was measured.
    """

    verdict: Verdict
    figure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question to an evaluation.

    Args:
        number: on the card, where it stays the same whatever becomes of the others.
        question: what is checked.
        source: who asks for it.
        judge: findings -> result.
    """

    number: int
    question: str
    source: str
    judge: Callable[[Findings], Result]


def decided(holds: bool, figure: str) -> Result:
    """PASS if it holds, FAIL otherwise."""
    return Result(verdict="PASS" if holds else "FAIL", figure=figure)


def if_enough(result: Result, images: int) -> Result:
    """The result; UNKNOWN for a PASS on too few images."""
    if result.verdict == "PASS" and images < ENOUGH_PROBED:
        return unknown(f"{result.figure}; on {images} images alone, {ENOUGH_PROBED} would say something")
    return result


def unknown(why: str) -> Result:
    """Not measured, and why."""
    return Result(verdict="UNKNOWN", figure=why)


def attackers_result(findings: Findings, *keys: str) -> Result:
    """PASS if all of these attackers are withstood, FAIL if one is not, UNKNOWN if one was not wholly run."""
    standings = {key: standing_of(findings, key) for key in keys}
    figures = [
        f"{key}: fools {said(findings.fooled(deciding(findings, key)))}, {standing}"
        + (f" ({doubt(findings, key)})" if standing == "inconclusive" else "")
        for key, standing in standings.items()
        if standing != "not run"
    ]
    if any(standing in ("weakened", "defeated") for standing in standings.values()):
        return Result(verdict="FAIL", figure="; ".join(figures))
    if "not run" in standings.values():
        left = ", ".join(key for key, standing in standings.items() if standing == "not run")
        return unknown("; ".join([*figures, f"not run: {left}"]))
    if "inconclusive" in standings.values():
        return unknown("; ".join(figures))
    if untried := [what for key in keys for what in findings.untried(key)]:
        return unknown("; ".join([*figures, f"not all was tried: {', '.join(dict.fromkeys(untried))}"]))
    return Result(verdict="PASS", figure="; ".join(figures))
