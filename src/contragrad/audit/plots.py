"""The card's pictures: sources x attacks, accuracy by epsilon, success by queries, cosines of gradients."""

from pathlib import Path

from contragrad.audit.attackers import REFERENCE, TARGET
from contragrad.audit.figures import alignment, asked, attacks_of, by_queries, matrix
from contragrad.audit.findings import Findings
from contragrad.audit.sources import ANOTHER, TWIN, stranger, surrogate
from contragrad.evaluate import Share
from contragrad.pictures.picture_file import picture
from contragrad.settings.checks import radius

SHOWN = ("reference", ANOTHER, TWIN, surrogate(1), stranger(1))
"""Sources whose cosines are drawn, where there are some."""


def draw_matrix(findings: Findings, path: Path) -> None:
    """Writes a picture with a row for each source and a column for each attack; white was not run."""
    found = matrix(findings)
    attacks = attacks_of(found)
    grid = [[100 * row.get(name, float("nan")) for name in attacks] for row in found.values()]
    with picture(path) as figure:
        figure.set_layout_engine("constrained")
        figure.set_size_inches(2.8 + 0.62 * len(attacks), 1.8 + 0.34 * len(found))
        axes = figure.subplots()
        if not found:
            axes.set_axis_off()
            axes.set_title("no attack was run", fontsize=9)
            return
        image = axes.imshow(grid, cmap="RdYlGn", vmin=0, vmax=100, aspect="auto")
        axes.set_xticks(range(len(attacks)), attacks, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(found)), list(found), fontsize=8)
        for row, values in enumerate(grid):
            for column, value in enumerate(values):
                if value == value:
                    axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8)
        axes.set_title(
            f"accuracy of {findings.facts.target} in % on examples by source and attack", fontsize=9
        )
        figure.supxlabel(_balls(findings), fontsize=7)
        figure.colorbar(image, ax=axes, label="accuracy in %", ticks=[0, 25, 50, 75, 100])


def _balls(findings: Findings) -> str:
    settings = findings.settings
    return (
        f"L_inf ε = {radius(settings.epsilon)}; attacks called l2: L_2 ε = {radius(settings.l2_epsilon)}; "
        "white: not run"
    )


def draw_curves(findings: Findings, path: Path) -> None:
    """Writes a picture of accuracy under PGD against epsilon, a line for each source that has one."""
    curves = {source: curve(findings, source) for source in (REFERENCE, surrogate(1), TARGET)}
    # A line through what everybody has, 0 and the stated epsilon, would tell of measurements between.
    found = {source: points for source, points in curves.items() if len(points) > 2 or source == TARGET}
    with picture(path) as figure:
        figure.set_layout_engine("constrained")
        figure.set_size_inches(6.4, 4)
        axes = figure.subplots()
        for source, points in found.items():
            radii, heights = zip(*points, strict=True)
            axes.plot(radii, [100 * height for height in heights], marker="o", label=f"crafted on {source}")
        axes.axvline(float(findings.settings.epsilon), color="grey", linewidth=0.8, linestyle="--")
        axes.set_xscale("symlog", base=2, linthresh=float(findings.settings.epsilon) / 4)
        ticks = sorted({place for points in found.values() for place, _ in points})
        axes.set_xticks(ticks, [f"{255 * place:g}" for place in ticks], fontsize=8)
        axes.minorticks_off()
        axes.set(
            xlabel="ε in grey levels (of 255); dashed: the stated one", ylabel="accuracy in %", ylim=(0, 100)
        )
        axes.set_title(f"{findings.facts.target} under PGD", fontsize=9)
        axes.legend(fontsize=8)


def curve(findings: Findings, source: str) -> list[tuple[float, float]]:
    """Epsilon and accuracy under PGD on a source, from 0 on."""
    points = {
        float(each.attempt.attack.epsilon): Share.of(findings.clean & each.held.right).share or 0.0
        for each in findings.by_epsilon(source)
    }
    return sorted({0.0: Share.of(findings.clean).share or 0.0, **points}.items())


def draw_queries(findings: Findings, path: Path) -> None:
    """Writes a picture of the share that is fooled against the answers asked for, a line for each attack."""
    with picture(path) as figure:
        figure.set_layout_engine("constrained")
        figure.set_size_inches(6.4, 3)
        axes = figure.subplots()
        if not (tried := asked(findings)):
            axes.set_axis_off()
            axes.set_title("no query attack was run", fontsize=9)
            return
        for each in tried:
            budgets, shares = zip(*by_queries(findings, each), strict=True)
            axes.plot(budgets, [100 * share for share in shares], marker="o", label=each.attempt.label)
        axes.set_xscale("log")
        # Text in our pictures is no markup, and matplotlib's own labels of powers are.
        axes.xaxis.set_major_formatter(lambda answers, _: f"{answers:,.0f}")
        axes.minorticks_off()
        axes.set(xlabel="answers for an image", ylabel="fooled, of the correct, in %", ylim=(0, 100))
        axes.set_title(
            f"queries of {findings.facts.target}, L_inf ε = {radius(findings.settings.epsilon)}", fontsize=9
        )
        axes.legend(fontsize=8)


def draw_alignment(findings: Findings, path: Path) -> None:
    """Writes histograms of the cosine between the target's input gradient and a few sources'."""
    there = alignment(findings)
    aligned = {name: findings.probes.aligned[name] for name in SHOWN if name in there}
    with picture(path) as figure:
        figure.set_layout_engine("constrained")
        if not aligned:
            figure.set_size_inches(6.4, 1)
            figure.suptitle(f"{findings.facts.target} has no input gradient at any image", fontsize=9)
            return
        figure.set_size_inches(6.4, 1.4 * len(aligned) + 0.6)
        panels = figure.subplots(len(aligned), squeeze=False, sharex=True)
        for axes, (name, cosines) in zip(panels[:, 0], aligned.items(), strict=True):
            axes.hist(cosines.tolist(), bins=50, range=(-1, 1))
            axes.axvline(0, color="grey", linewidth=0.8)
            axes.set_title(f"{name}: mean {float(cosines.mean()):+.2f}", fontsize=9)
            axes.set_yticks([])
        panels[-1, 0].set_xlabel(f"cosine between input gradients of {findings.facts.target} and the source")


PICTURES = {
    "matrix.png": ("Accuracy by source and attack", draw_matrix),
    "curves.png": ("Accuracy by ε", draw_curves),
    "queries.png": ("Success by queries", draw_queries),
    "alignment.png": ("Alignment with the gradients of sources", draw_alignment),
}
"""File -> its heading, and what draws it."""
