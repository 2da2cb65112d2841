"""The report card as plain values, made of findings and read again: a verdict, attempts, and checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contragrad import evaluate
from contragrad.audit import standing
from contragrad.audit.attackers import ATTACKERS, Attacker
from contragrad.audit.attempts import Attempt
from contragrad.audit.checks.baselines import NEITHER
from contragrad.audit.checks.every import judged
from contragrad.audit.facts import Tried
from contragrad.audit.figures import alignment, by_queries, matrix
from contragrad.audit.findings import Findings
from contragrad.audit.strength import fooled_itself, is_strong, transferred_on
from contragrad.audit.verdict import rule, title, verdict
from contragrad.errors import UserError
from contragrad.evaluate import Interval, Share
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.settings.checks import radius

CARD = "card.json"

DEPTH = ("steps", "restarts", "queries", "distilled", "surrogates", "tolerated", "minutes")
"""Settings of the audit that say how much each attacker could do, beside the radii and images."""


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
            "recipe_known": facts.recipe_known,
            "weights": facts.weights,
            "fingerprint": facts.fingerprint,
        },
        "data": facts.data,
        "made_with": {name: version(name) for name in ("contragrad", "torch")},
        "reference": facts.reference,
        "reference_made": facts.reference_made,
        "epsilon": radius(findings.settings.epsilon),
        "l2_epsilon": str(findings.settings.l2_epsilon),
        "l2_fooled": _optional(standing.l2_fooled(findings)),
        "l2_standing": standing.l2_standing(findings),
        "l2_doubt": standing.l2_doubt(findings),
        "images": findings.images,
        "depth": {name: getattr(findings.settings, name) for name in DEPTH},
        "clean_accuracy": _share(Share.of(findings.clean)),
        "withstood": standing.withstood(findings),
        "unknown_below": standing.unknown_below(findings),
        "defeated_by": standing.defeated_by(findings),
        "rule": rule(findings),
        "attackers": [_attacker(findings, attacker) for attacker in ATTACKERS],
        "matrix": matrix(findings),
        "alignment": alignment(findings),
        "copy_agrees": _optional(findings.probes.agreement),
        "sources": {name: _source(findings, name, tried) for name, tried in transferred_on(findings).items()},
        "compared": {
            name: {
                "clean_accuracy": _share(Share.of(each.clean)),
                "adversarial_accuracy": _share(Share.of(each.adversarial)),
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
    key = attacker.key
    tried, own = findings.tried.get(key, ()), standing.in_linf(findings, key)
    decides, stands = standing.deciding(findings, key), standing.standing_of(findings, key)
    return {
        "attacker": key,
        "threat": attacker.threat(findings.settings),
        "standing": stands,
        "doubt": standing.doubt(findings, key) if stands == "inconclusive" else None,
        "fooled": _share(findings.fooled(own)) if tried else None,
        "fooled_deciding": _share(findings.fooled(decides)) if tried else None,
        "fooled_so_far": _optional(findings.fooled_so_far(key)),
        "ordinary_fooled": _optional(findings.ordinary_fooled(own)),
        "accuracy": _share(Share.of(findings.survivors(decides))) if tried else None,
        "attempts": [_row(findings, each) for each in tried],
        "left_out": {
            name: why
            for name, why in findings.missing.items()
            if name in (*attacker.sources(findings.settings), attacker.joined) or name.startswith(f"{key}: ")
        },
    }


def _source(findings: Findings, name: str, tried: Sequence[Tried]) -> dict[str, Any]:
    return {
        "clean_accuracy": _share(Share.of(findings.source_clean[name])),
        "fooled_itself": _share(fooled_itself(findings, name, tried)),
        "strong": is_strong(findings, name, tried),
    }


def _row(findings: Findings, each: Tried) -> dict[str, Any]:
    attempt, held = each.attempt, each.held
    row: dict[str, Any] = {
        "source": attempt.source,
        "attack": attempt.label,
        "epsilon": radius(attempt.attack.epsilon),
        "steps": _steps(attempt),
        "restart": attempt.restart,
        "accuracy": _share(Share.of(findings.clean & held.right)),
        "fooled": _share(findings.fooled([each])),
        "source_fooled": _share(findings.source_fooled(each)),
        "transferred": _share(findings.transferred(each)),
        "ordinary_fooled": _optional(findings.ordinary_fooled([each])),
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


def _optional(share: Share | None) -> dict[str, Any] | None:
    return None if share is None else _share(share)


def _share(share: Share) -> dict[str, Any]:
    interval = None if share.interval is None else list(share.interval)
    return {"share": share.share, "hits": share.hits, "count": share.count, "interval": interval}


@dataclass(frozen=True, slots=True)
class Fooled:
    """A share of images with its interval, in [0, 1]."""

    share: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackerRow:
    """A row of the card: how the network stands against somebody.

    Args:
        key: his short name.
        threat: what he knows, has and does.
        standing: withstood, weakened, defeated, inconclusive or not run.
        fooled: of the images that the network classifies correctly, by all that counts against it with him;
            None if he was not run.
    """

    key: str
    threat: str
    standing: str
    fooled: Fooled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An audit's card.

    Args:
        title: what it is of.
        network: the audited network's name.
        fingerprint: names its weights.
        epsilon: the radius, as text.
        verdict: in sentences.
        withstood: the strongest attacker who is withstood together with all weaker ones; None if none is.
        defeated_by: the weakest attacker who defeats it; None if none does.
        rule: when an attacker is withstood, and when he defeats.
        attackers: from weak to strong.
        checks: number, question, verdict and figure of each.
        left_out: what was not tried, and why.
    """

    title: str
    network: str
    fingerprint: str
    epsilon: str
    verdict: str
    withstood: str | None
    defeated_by: str | None
    rule: str
    attackers: tuple[AttackerRow, ...]
    checks: tuple[tuple[str, str, str, str], ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A card that cannot be read, and why."""

    path: Path
    why: str


def paths(folder: Path) -> list[Path]:
    """Where the cards of a run folder lie, by network and radius."""
    return sorted(path for path in folder.glob(f"audit/*/*/{CARD}") if path.is_file())


def read(path: Path) -> Card | Unreadable:
    """The card that `content` was written as."""
    try:
        return _card(from_json(read_text(path, LONGEST_JSON, "it cannot be read", "contragrad audit")))
    except UserError as error:
        return Unreadable(path, error.what)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Unreadable(path, f"{type(error).__name__}: {error}")


def _card(stored: Mapping[str, Any]) -> Card:
    return Card(
        title=str(stored["title"]),
        network=str(stored["target"]["name"]),
        fingerprint=str(stored["target"]["fingerprint"]),
        epsilon=str(stored["epsilon"]),
        verdict=str(stored["verdict"]),
        withstood=_name(stored["withstood"]),
        defeated_by=_name(stored["defeated_by"]),
        rule=str(stored["rule"]),
        attackers=tuple(
            AttackerRow(
                key=str(each["attacker"]),
                threat=str(each["threat"]),
                standing=str(each["standing"]),
                # Older cards judged everybody by his own examples.
                fooled=_fooled(each.get("fooled_deciding", each["fooled"])),
            )
            for each in stored["attackers"]
        ),
        checks=tuple(
            (str(each["number"]), str(each["question"]), str(each["verdict"]), str(each["figure"]))
            for each in stored["checks"]
        ),
        left_out={str(what): str(why) for what, why in stored["left_out"].items()},
    )


def _fooled(stored: Mapping[str, Any] | None) -> Fooled | None:
    if stored is None or stored["interval"] is None:
        return None
    return Fooled(evaluate.share(stored["share"]), evaluate.interval(stored["interval"]))


def _name(stored: Any) -> str | None:
    return None if stored is None else str(stored)
