"""The page's sections, one function each; what is not there is said in a sentence, with what to do."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from contragrad.audit.attackers import ATTACKERS
from contragrad.audit.card import Unreadable
from contragrad.page import charts, intervals
from contragrad.page.blocks import Block, Folded, Gallery, Grid, Picture, Section, Words
from contragrad.page.cards import Pictured
from contragrad.page.settings import cost, reproduce, settings
from contragrad.page.steps import ancestry
from contragrad.page.story import Story
from contragrad.page.summary import found
from contragrad.page.training import training
from contragrad.report import interval_text, outcome_text


def table(story: Story) -> Section:
    """The networks on the test images."""
    if not story.rows:
        text = (
            "There is no table: no network of this study has been measured on the test images. "
            f"`contragrad resume {story.folder}` goes on to it."
        )
        return Section("table", "The networks on the test images", [Words(text)])
    count = story.rows[0].images
    grid = Grid(
        caption=f"{count:,} test images, 95 % Wilson intervals. Adversarial accuracy is that of examples "
        "crafted on the reference, and of no other attack.",
        header=("network", "clean accuracy", "adversarial accuracy", "parameters"),
        rows=[
            (
                row.name,
                interval_text(row.clean_accuracy, row.clean_interval),
                interval_text(row.adversarial_accuracy, row.adversarial_interval),
                f"{row.parameters:,}",
            )
            for row in story.rows
        ],
        numbers=(1, 2, 3),
    )
    return Section("table", "The networks on the test images", [grid, intervals.table(story.rows)])


def generations(story: Story) -> Section:
    """Fitness over generations."""
    fates = Counter(step.fate for step in story.steps if step.generation)
    said = ", ".join(f"{fates[fate]:,} {fate}" for fate in fates)
    text = f"Of {fates.total():,} children: {said}." if fates else "There are no children yet."
    chart = charts.fitness(story.steps, story.config.fitness_split)
    return Section("fitness", "Fitness over generations", [Words(text), chart])


def accuracies(story: Story) -> Section:
    """Both accuracies of every child."""
    chart = charts.accuracies(story.steps, story.winners, story.config.fitness_split)
    return Section("accuracies", "Clean against adversarial accuracy", [chart])


def lineage(story: Story) -> Section:
    """From the first population to the winners."""
    title = "Lineage"
    if story.config.search.variation == "random":
        text = "Random search draws each candidate anew: nobody comes of anybody."
        return Section("lineage", title, [Words(text)])
    rows = [
        (
            name,
            " → ".join(f"{each.number}" for each in ancestry(story.steps, winner)),
            outcome_text(winner.outcome),
            str(winner.trial.genome),
        )
        for name, winner in story.winners.items()
    ]
    grid = Grid(
        caption="The networks that the search ends with, or would now, and the trials that they come of",
        header=("network", "trials", "outcome", "genome"),
        rows=rows,
    )
    every = Grid(
        caption="Every trial in the search's order",
        header=("trial", "generation", "slot", "parent", "became", "outcome", "epochs", "genome"),
        rows=[
            (
                str(step.number),
                str(step.generation),
                str(step.slot),
                str(step.parent or "–"),
                f"{step.fate}, in slot {step.took}" if step.fate == "accepted" else step.fate,
                outcome_text(step.outcome),
                str(step.trial.epochs),
                str(step.trial.genome),
            )
            for step in story.steps
        ],
        numbers=(0, 1, 2, 3, 6),
    )
    folded = Folded(f"All {len(story.steps):,} trials", [every])
    return Section("lineage", title, [charts.lineage(story.steps, story.winners), grid, folded])


def architectures(story: Story) -> Section:
    """The winners beside the reference."""
    title = "Architectures"
    if isinstance(story.architectures, str):
        return Section("architectures", title, [Words(story.architectures)])
    blocks: list[Block] = [Gallery(story.architectures)]
    if all(picture.title != "reference" for picture in story.architectures):
        settings = story.config.reference
        name = settings.factory or settings.architecture
        blocks.append(Words(f"The reference, {name}, is no row of blocks as genomes are, and is not drawn."))
    return Section("architectures", title, blocks)


def attributions(story: Story) -> Section:
    """Where the networks look."""
    block: Block = (
        Gallery([story.attributions])
        if isinstance(story.attributions, Picture)
        else Words(story.attributions)
    )
    return Section("looks", "Where the networks look", [block])


def audit(story: Story) -> Section:
    """What audits have found."""
    blocks: list[Block] = []
    for number, each in enumerate(story.cards, start=1):
        if isinstance(each, Unreadable):
            text = f"The card {each.path} cannot be read ({each.why}); `contragrad audit` writes it anew."
            blocks.append(Words(text, tone="note"))
            continue
        card = each.card
        if story.earlier(card):
            text = f"What follows is of an earlier network: the table’s {card.network} has other weights."
            blocks.append(Words(text, tone="note"))
            card = replace(card, network=f"an earlier {card.network}")
        blocks += _card(Pictured(card=card, pictures=each.pictures), f"audit-{number}")
    if not blocks:
        text = (
            "No network of this study was audited, so nothing is known of attacks other than that on the "
            f"reference. `contragrad audit {story.folder} --budget 5` asks {len(ATTACKERS)} attackers, from "
            "weak to strong, as far as five minutes go."
        )
        blocks.append(Words(text))
    return Section("audit", "Audit", blocks)


def _card(shown: Pictured, name: str) -> list[Block]:
    card = shown.card
    rows = [
        (
            each.key,
            each.standing,
            "–" if each.fooled is None else interval_text(each.fooled.share, each.fooled.interval),
            each.threat,
        )
        for each in card.attackers
    ]
    attackers = Grid(
        caption=f"{card.network} at ε = {card.epsilon}, attackers from weak to strong. Rule: {card.rule}.",
        header=(
            "attacker",
            "the network’s standing",
            "fooled, of the images it classifies correctly",
            "who he is",
        ),
        rows=rows,
        numbers=(2,),
    )
    checks = Grid(
        caption="Checks of an honest evaluation",
        header=("check", "verdict", "figure"),
        rows=[
            (f"{number}. {question}", verdict, figure) for number, question, verdict, figure in card.checks
        ],
    )
    verdicts = [verdict for _, _, verdict, _ in card.checks]
    counted = ", ".join(f"{verdicts.count(kind)} {kind}" for kind in ("PASS", "FAIL", "UNKNOWN"))
    blocks: list[Block] = [Words(card.verdict), intervals.attackers(card, name), attackers]
    blocks.append(Folded(f"{len(card.checks)} checks: {counted}", [checks]))
    if card.left_out:
        left = Grid(caption="Left out", header=("what", "why"), rows=list(card.left_out.items()))
        blocks.append(Folded(f"{len(card.left_out)} things were left out", [left]))
    if shown.pictures:
        blocks.append(Folded("Pictures of the audit", [Gallery(shown.pictures)]))
    return blocks


SECTIONS: tuple[Callable[[Story], Section], ...] = (
    found,
    table,
    generations,
    accuracies,
    lineage,
    architectures,
    training,
    attributions,
    audit,
    cost,
    settings,
    reproduce,
)
"""In the page's order."""

OF_SEARCH = (generations, accuracies, lineage)
"""Those that need a measured trial."""


def sections(story: Story) -> tuple[Section, ...]:
    """The sections of a story; those of the search are left out until a trial is measured."""
    measured = any(step.fate in ("initial candidate", "accepted", "rejected") for step in story.steps)
    return tuple(section(story) for section in SECTIONS if measured or section not in OF_SEARCH)
