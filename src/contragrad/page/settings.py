"""The sections for whoever runs it again: what it cost, its settings, and how to reproduce it."""

import shlex

from contragrad.jobs.recipes import Found, main_job_of
from contragrad.page.blocks import Block, Code, Folded, Grid, Section, Words
from contragrad.page.cards import Pictured
from contragrad.page.cost import Tally
from contragrad.page.story import Story
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig


def cost(story: Story) -> Section:
    """Time, epochs, what was answered from memory and what was trained for nothing."""
    spent = story.cost
    rows = [_tally("evaluations that the search used", spent.used)]
    if spent.unused.evaluations:
        rows.append(_tally("evaluations that it did not ask for", spent.unused))
    if spent.compared.evaluations:
        rows.append(_tally("evaluations of random search, for comparison", spent.compared))
    blocks: list[Block] = [
        Grid(
            caption="Evaluations in the study’s database",
            header=("", "evaluations", "epochs trained", "time of the workers"),
            rows=rows,
            numbers=(1, 2, 3),
        )
    ]
    texts = [
        f"The search has used {len(story.steps):,} of {story.planned:,} outcomes. "
        + (
            f"{spent.repeated:,} of them were of a trial that it had asked for before, with the same genome "
            "and as many epochs, and were answered from the database."
            if spent.repeated
            else "None of its trials came twice."
        )
    ]
    if story.config.search.rungs:
        texts.append(f"Stopping children that were behind spared {spent.spared:,} epochs.")
    share = spent.unused.seconds / seconds if (seconds := (spent.used + spent.unused).seconds) else 0.0
    texts.append(
        f"Evaluations that the search did not ask for {'' if story.finished else 'so far '}were made ahead "
        f"of it on a guess, or by another job in this folder: {100 * share:.1f} % of the workers’ time."
        if spent.unused.evaluations
        else "Nothing was trained ahead of the search in vain."
    )
    if spent.first and spent.last:
        texts.append(
            f"From the first evaluation’s beginning, {spent.first:%Y-%m-%d %H:%M} UTC, to the last one’s "
            f"end lie {_duration((spent.last - spent.first).total_seconds())}, pauses included."
        )
    if story.steps:
        texts.append(f"The time of what follows is not recorded: {', '.join(_trainings(story))}.")
    blocks += map(Words, texts)
    return Section("cost", "Cost", blocks)


def _tally(what: str, tally: Tally) -> tuple[str, str, str, str]:
    return what, f"{tally.evaluations:,}", f"{tally.epochs:,}", _duration(tally.seconds)


def _duration(seconds: float) -> str:
    """As people say it: 3 h 05 min, 12 min, 8 s."""
    if seconds < 60:
        return f"{seconds:.0f}\N{NO-BREAK SPACE}s"
    minutes = round(seconds / 60)
    text = f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _trainings(story: Story) -> list[str]:
    """What was made beside evaluations, which the database does not know."""
    config, state = story.config, story.history.state
    done = ["crafting the adversarial examples"]
    if config.reference.weights is None:
        done.append(f"training the reference for {config.reference.epochs:,} epochs")
    if story.outlived:
        done.append("training the networks of the table, which is of an earlier end, in full")
    elif story.rows and state is not None:
        recipes = main_job_of(config, state.population)
        found = Found(state.population)
        tasks = [recipe.training(name, config, found) for name, recipe in recipes.items()]
        epochs = sorted({task.epochs for task in tasks if task is not None})
        most = "" if config.refine.patience is None else "at most "
        done.append(
            f"training the table’s other networks in full for {most}"
            f"{' or '.join(f'{count:,}' for count in epochs)} epochs each"
        )
    return done


def settings(story: Story) -> Section:
    """Every setting, and where it ran."""
    own, usual = config_file.dotted(story.config), config_file.dotted(StudyConfig())
    rows = [(key, _shown(value), _shown(usual[key])) for key, value in own.items()]
    changed = [row for row in rows if row[1] != row[2]]
    header = ("setting", "here", "default")
    blocks: list[Block] = [
        Grid(caption="Settings that are not the defaults", header=header, rows=changed)
        if changed
        else Words("Every setting has its default."),
        Folded(f"All {len(rows)} settings", [Grid(caption="Every setting", header=header, rows=rows)]),
    ]
    if story.cost.environments:
        blocks.append(
            Grid(
                caption="Where the evaluations were made",
                header=("platform", "Python", "torch", "contragrad", "evaluations"),
                rows=[(*environment, f"{count:,}") for environment, count in story.cost.environments.items()],
                numbers=(4,),
            )
        )
    return Section("settings", "Settings and environment", blocks)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def reproduce(story: Story) -> Section:
    """The commands, and what they need."""
    folder = shlex.quote(str(story.folder))
    commands = [
        "contragrad evolve --config study.yaml --out again    # the same study anew",
        f"contragrad resume {folder}    # goes on with this one, to the same end",
        f"contragrad audit {folder}     # how far its best network’s resistance holds",
        f"contragrad report {folder}    # writes this page",
    ]
    blocks: list[Block] = [
        Code("\n".join(commands)),
        Words(
            "With the same versions on a CPU the same settings give the same figures, for any number of "
            "workers and after any interruption; another processor or another torch may round differently, "
            "and then they differ a little."
        ),
        Folded("study.yaml", [Code(story.study_file)]),
    ]
    if story.cost.data:
        blocks.append(Words(f"Fingerprint of the data: {story.cost.data}."))
    pictured = any(isinstance(card, Pictured) and card.pictures for card in story.cards)
    blocks.append(
        Words(
            "The figures of this page are also files, in the folder beside it that has its name and ends in "
            ".figures" + (f"; the audits’ pictures lie in {story.folder / 'audit'}." if pictured else ".")
        )
    )
    return Section("reproduce", "How to reproduce", blocks)
