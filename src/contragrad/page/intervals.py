"""Plots of shares with their intervals: the table's networks, and an audit's attackers."""

from collections.abc import Sequence

import altair as alt

from contragrad.audit.card import Card
from contragrad.evaluate import Row
from contragrad.page.blocks import Chart
from contragrad.page.theme import finished, of

STANDINGS = {
    "withstood": "#16926B",
    "inconclusive": "#3A87C8",
    "weakened": "#C98A00",
    "defeated": "#D1462F",
}
"""Colours that are read on a light page and on a dark one."""


def table(rows: Sequence[Row]) -> Chart:
    """Both accuracies of each network, with Wilson intervals."""
    kinds = ("clean", "adversarial")
    values = [
        {"network": row.name, "accuracy": kind, "share": share, "low": low, "high": high}
        for row in rows
        for kind, share, (low, high) in (
            ("clean", row.clean_accuracy, row.clean_interval),
            ("adversarial", row.adversarial_accuracy, row.adversarial_interval),
        )
    ]
    base = of(values).encode(
        alt.Y("network:N", sort=[row.name for row in rows], title=None),
        yOffset=alt.YOffset("accuracy:N", sort=kinds, scale=alt.Scale(paddingOuter=0.6)),
        color=alt.Color(
            "accuracy:N", scale=alt.Scale(domain=kinds), legend=alt.Legend(title=None, orient="top")
        ),
        tooltip=[
            alt.Tooltip("network:N"),
            alt.Tooltip("accuracy:N"),
            *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("share", "low", "high")),
        ],
    )
    percent = alt.Axis(format=".0%", tickCount=5)
    whole = alt.Scale(domain=[0, 1])
    lines = base.mark_rule(strokeWidth=3).encode(
        alt.X("low:Q", title="accuracy on the test images", axis=percent, scale=whole), alt.X2("high:Q")
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(alt.X("share:Q", scale=whole))
    return finished(
        alt.layer(lines, dots).properties(height=48 * len(rows)),
        "table",
        "The table as a picture",
        "Accuracy on the test images as they are (clean) and on the examples crafted on the reference "
        "(adversarial). The lines are 95 % Wilson intervals: what sampling so few images leaves open.",
    )


def attackers(card: Card, name: str) -> Chart:
    """The share of images on which each attacker of an audit fools the network."""
    values = [
        {
            "attacker": each.key,
            "threat": each.threat,
            "standing": each.standing,
            "share": each.fooled.share,
            "low": each.fooled.interval[0],
            "high": each.fooled.interval[1],
        }
        for each in card.attackers
        if each.fooled is not None
    ]
    base = of(values).encode(
        alt.Y("attacker:N", sort=[each.key for each in card.attackers], title=None),
        color=alt.Color(
            "standing:N",
            scale=alt.Scale(domain=list(STANDINGS), range=list(STANDINGS.values())),
            legend=alt.Legend(title=None, orient="top", columns=1),
        ),
        tooltip=[
            alt.Tooltip("attacker:N"),
            alt.Tooltip("threat:N"),
            alt.Tooltip("standing:N"),
            *(alt.Tooltip(f"{bound}:Q", format=".1%") for bound in ("share", "low", "high")),
        ],
    )
    percent = alt.Axis(format=".0%", tickCount=5)
    whole = alt.Scale(domain=[0, 1])
    lines = base.mark_rule(strokeWidth=3).encode(
        alt.X("low:Q", title="images fooled", axis=percent, scale=whole),
        alt.X2("high:Q"),
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(alt.X("share:Q", scale=whole))
    return finished(
        alt.layer(lines, dots).properties(height=32 * max(1, len(values))),
        name,
        f"Who fools {card.network}",
        "The share of the images it classifies correctly that each attacker fools it on at ε = "
        f"{card.epsilon}, by the best of his examples of each, with 95 % Wilson intervals. Attackers go "
        "from weak to strong.",
    )
