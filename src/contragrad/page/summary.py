"""What was found, in three sentences that claim no more than the figures."""

from contragrad.evaluate import Interval, Row
from contragrad.evolution.trial import Measured
from contragrad.jobs.recipes import UNDEFENDED
from contragrad.page.blocks import Block, Section, Words
from contragrad.page.cards import Pictured
from contragrad.page.story import Story, attack_text, crafted_on
from contragrad.report import interval_text, percent
from contragrad.run_folder.notes import LOOKS


def found(story: Story) -> Section:
    """The section that everybody reads."""
    sentences = _of_table(story) if story.best_rows else _of_search(story)
    blocks: list[Block] = [Words(" ".join(sentences), tone="lead")]
    blocks += [Words(text, tone="note") for text in warnings(story)]
    return Section("found", "What was found", blocks)


def warnings(story: Story) -> list[str]:
    """What a reader must know before he believes a figure."""
    texts = []
    if story.history.looks > 1:
        texts.append(f"{LOOKS.format(story.history.looks).capitalize()}.")
    if story.config.fitness_split == "test":
        texts.append(
            "The search chose its networks by their accuracy on the test images, as the paper does, so "
            "their test figures are too good."
        )
    if story.outlived:
        texts.append(
            "The study was made longer after its table: the table is of an earlier end of the search."
        )
    return texts


def _of_table(story: Story) -> list[str]:
    own = story.best_rows[0]
    reference = next((row for row in story.rows if row.name == "reference"), None)
    beside = "" if reference is None else f", which itself classifies {_both(reference)}"
    first = (
        f"Of {own.images:,} test images, {own.name}, the evolved network that did best on the "
        f"{story.config.fitness_split} images, classifies {_clean(own)} correctly as they are and "
        f"{_adversarial(own)} as adversarial examples crafted on the reference "
        f"({attack_text(story.config)}){beside}."
    )
    ordinary = next((row for row in story.rows if row.name == UNDEFENDED), None)
    without = (
        []
        if ordinary is None
        else [
            "The attack is white-box on the reference. An ordinary network of its architecture from "
            f"another seed, without any defence, classifies {_both(ordinary)}."
        ]
    )
    return [first, *without, _worth(story, own), _audited(story)]


def _both(row: Row) -> str:
    return f"{_clean(row)} and {_adversarial(row)}"


def _clean(row: Row) -> str:
    return interval_text(row.clean_accuracy, row.clean_interval)


def _adversarial(row: Row) -> str:
    return interval_text(row.adversarial_accuracy, row.adversarial_interval)


def _worth(story: Story, own: Row) -> str:
    """What evolution is worth beside the same training of networks that were not evolved."""
    names = {row.name for row in story.best_rows} | {"reference", UNDEFENDED}
    rivals = [row for row in story.rows if row.name not in names]
    if not rivals:
        return "The table has no other network that was trained in the same way to compare it with."
    groups: dict[str, list[str]] = {}
    for rival in rivals:
        word = compared(own.adversarial_interval, rival.adversarial_interval)
        groups.setdefault(word, []).append(f"{rival.name} ({_adversarial(rival)})")
    said = ", ".join(f"{word} {' and '.join(names)}" for word, names in groups.items())
    return (
        "On these examples it is, judging by the intervals of one training each, "
        f"{said}, which were trained in the same way without evolution."
    )


def compared(own: Interval, other: Interval) -> str:
    """What two intervals say of who is better."""
    if own[0] > other[1]:
        return "better than"
    return "worse than" if own[1] < other[0] else "not told apart from"


def _audited(story: Story) -> str:
    looks = {
        0: "how often the test images were looked at is not recorded",
        1: "the test images were looked at once",
    }
    seen = looks.get(story.history.looks, f"the test images were looked at {story.history.looks} times")
    every = [each.card for each in story.cards if isinstance(each, Pictured)]
    cards = [card for card in every if not story.earlier(card)]
    if not cards:
        other = " (the audits that are there are of earlier networks)" if every else ""
        return (
            f"It was not audited{other}, so nothing is known of attackers who use other networks, know the "
            f"recipe or have the network itself; {seen}."
        )
    own = {row.name: place for place, row in enumerate(story.best_rows)}
    card = min(cards, key=lambda card: own.get(card.network, len(own)))
    held = (
        f"the strongest attacker whom {card.network} withstands is “{card.withstood}”"
        if card.withstood
        else f"{card.network} is shown to withstand no attacker together with all weaker ones"
    )
    lost = (
        f"the weakest who defeats it is “{card.defeated_by}”"
        if card.defeated_by
        else "none of those who were run defeats it"
    )
    return f"In the audit at ε = {card.epsilon} {held}, and {lost}; {seen}."


def _of_search(story: Story) -> list[str]:
    """Of a study that has no table."""
    done, search = len(story.steps), story.config.search
    winners = list(story.winners.values())
    if not done or not winners:
        return [
            f"The search has not begun: none of its {story.planned:,} evaluations is there.",
            _audited(story) if story.cards else "Nothing has been found yet.",
            f"`contragrad resume {story.folder}` goes on.",
        ]
    where = (
        "has ended"
        if story.finished
        else f"is in generation {story.steps[-1].generation} of {search.generations}"
    )
    best = winners[0]
    second = "No candidate could be measured yet."
    if isinstance(best.outcome, Measured):
        second = (
            f"After {best.trial.epochs} epochs its best candidate classifies "
            f"{percent(best.outcome.clean_accuracy)} of the {story.config.fitness_split} images correctly "
            f"as they are and {percent(best.outcome.adversarial_accuracy)} as adversarial examples crafted "
            f"on {crafted_on(story.config)} ({attack_text(story.config)}); it was chosen by these figures, "
            "so they are too good."
        )
    return [
        f"The search {where}, with {done:,} of {story.planned:,} evaluations.",
        second,
        "No evolved network has been trained in full and measured on the test images, so nothing is known of "
        "how far it holds.",
    ]
