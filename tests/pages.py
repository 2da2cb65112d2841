"""Run folders to write pages of, with made-up outcomes, tables and audit cards; and pages read again."""

import json
import random
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import torch

import found
from contragrad import evaluate
from contragrad.audit import card
from contragrad.audit.plots import PICTURES
from contragrad.data.dataset import Dataset, Examples
from contragrad.engine import study
from contragrad.engine.executors import InProcess
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.study import Told
from contragrad.engine.work import Work
from contragrad.evaluate import Row, wilson
from contragrad.evolution.search import start
from contragrad.jobs import full_trainings
from contragrad.jobs.recipes import best
from contragrad.jobs.tasks import task_name
from contragrad.networks.architectures import construct
from contragrad.page import cards
from contragrad.reference import architecture
from contragrad.run_folder import history
from contragrad.run_folder.contents import normalisation, store_splits
from contragrad.run_folder.notes import note_look, note_origin
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, TABLE, Workspace
from contragrad.settings import config_file
from contragrad.settings.config import DataSettings, RefineSettings, StudyConfig
from strategies import CIFAR, small_settings

CONFIG = StudyConfig(
    seed=4,
    device="cpu",
    search=small_settings(population=3, children=2, generations=3),
    refine=RefineSettings(networks=2, epochs=5),
)
TOTAL = 3 + 3 * 3 * 2
IMAGES = 1000

OBEYED = "\x1b[31m\0"
"""What a terminal obeys, and no SVG can hold."""

HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(2)> & `"'{{ 7 * 7 }}"]);alert(3);//"""
"""What would run or break the page if it were not escaped."""


class StoppedError(Exception):
    """Stands for a kill."""


def studied(folder: Path, config: StudyConfig = CONFIG, steps: int = 10_000) -> list[Told]:
    """Begins a study in the folder, which is made, and leaves it after so many trials; what it was told."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file.write(config, folder / CONFIGURATION)
    there = Workspace(folder=folder, config=config, data="the data", problem=CIFAR, weights=None)
    told: list[Told] = []

    def on_event(event: study.Event) -> None:
        if isinstance(event, Told):
            told.append(event)
            if len(told) == steps:
                raise StoppedError

    state = start(config.search, CIFAR, config.seed)
    toys = InProcess(Work("performers:toys", None))
    with closing(toys) as executor, SqliteMemo(folder / DATABASE) as memo:
        note_origin(memo, there)
        with suppress(StoppedError):
            study.run(state, memo=memo, executor=executor, key_of=there.evaluation_name, on_event=on_event)
    return told


def row(name: str, clean: int, adversarial: int, architecture: str = "conv(8,3) fc(4)") -> Row:
    """A row of a table with so many hits of `IMAGES`."""
    return Row(
        name=name,
        clean_accuracy=clean / IMAGES,
        adversarial_accuracy=adversarial / IMAGES,
        clean_interval=wilson(clean, IMAGES),
        adversarial_interval=wilson(adversarial, IMAGES),
        parameters=1234 + clean,
        images=IMAGES,
        architecture=architecture,
    )


ROWS = (
    row("reference", 909, 414),
    row("reference+GM", 869, 700),
    row("hand-engineered+GM", 881, 921),
    row("NE+GM 1", 867, 886),
    row("NE+GM 2", 861, 868),
)


def measured(folder: Path, rows: Sequence[Row] = ROWS, looks: int = 1) -> None:
    """Gives the run a table, and notes that its networks were looked at so many times."""
    story = history.load(folder)
    assert story.state is not None
    genomes = [str(member.trial.genome) for member in best(story.state.population, 2)]
    rows = [
        replace(row, architecture=genomes[int(row.name[-1]) - 1]) if row.name.startswith("NE+") else row
        for row in rows
    ]
    names = {name: fingerprint for name, _, fingerprint in trained(folder)}
    rows = [
        replace(row, weights=f"artefacts/network-{names[row.name]}.safetensors") if row.name in names else row
        for row in rows
    ]
    evaluate.write(tuple(rows), folder / TABLE)
    with SqliteMemo(folder / DATABASE) as memo:
        for look in range(looks):
            note_look(memo, {row.name: f"{row.name} {look}" for row in rows})


def trained(folder: Path) -> list[tuple[str, str, str]]:
    """The networks that the run's table has: their names, architectures and fingerprints."""
    there, state = history.stored_workspace(folder), history.load(folder).state
    assert state is not None
    tasks = full_trainings.final_trainings(there, state)
    return [
        ("reference", architecture(there.config.reference), there.reference_name),
        *((task.name, task.architecture, task_name(task, there)) for task in tasks),
    ]


def deployed(folder: Path) -> None:
    """Gives the run images of noise, and networks with the weights that they were drawn with."""
    there = history.stored_workspace(folder)
    images = torch.randint(256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(1))
    labels = torch.arange(120) % CIFAR.classes
    train, test = Examples(images[:100], labels[:100]), Examples(images[100:], labels[100:])
    splits = store_splits(there, Dataset(train, test, CIFAR.classes, "noise"))
    for _, text, fingerprint in trained(folder):
        network = construct(text, CIFAR, normalisation(splits.train), 0)
        there.artefacts.save("network", fingerprint, network.state_dict())


def audited(folder: Path, name: str = "NE-GM-1", fingerprint: str = "") -> Path:
    """Gives the run the card of an audit, of the table's network if no other's fingerprint is given."""
    content = json.loads(_content())
    if (folder / TABLE).is_file():
        weights = {row.name: Path(row.weights) for row in evaluate.read(folder / TABLE)}
        own = weights[content["target"]["name"]].stem.removeprefix("network-")
        content["target"]["fingerprint"] = fingerprint or own
    path = folder / "audit" / name / "8-255" / "card.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


@cache
def _content() -> str:
    return json.dumps(card.content(found.sound()))


def pictured(path: Path, size: int) -> None:
    """Puts the pictures of an audit, of so many bytes each, beside its card."""
    for name in PICTURES:
        path.with_name(name).write_bytes(cards.PNG + random.Random(name).randbytes(size - len(cards.PNG)))


def whole(folder: Path) -> Path:
    """A run folder of a finished study with a table and an audit."""
    studied(folder)
    measured(folder)
    audited(folder)
    return folder


def hostile(parent: Path) -> Path:
    """A run folder in which everything that may come from outside would break the page."""
    folder = parent / HOSTILE.replace("/", "")
    data = DataSettings(source="npz", path=HOSTILE)
    config = replace(
        CONFIG,
        data=data,
        reference=replace(CONFIG.reference, factory=f"nets:{HOSTILE}"),
        training=CONFIG.training,
    )
    studied(folder, config)
    _tampered(folder / DATABASE)
    named = [replace(each, name=each.name + HOSTILE + OBEYED) for each in ROWS[1:3]]
    measured(folder, [*named, *ROWS[3:]])
    path = audited(folder, HOSTILE.replace("/", ""))
    stored = json.loads(path.read_text())
    stored["verdict"] = stored["rule"] = stored["target"]["name"] = HOSTILE
    stored["attackers"][0] |= {"attacker": HOSTILE, "threat": HOSTILE}
    stored["checks"][0] |= {"question": HOSTILE, "figure": HOSTILE}
    stored["left_out"] = {HOSTILE: HOSTILE}
    path.write_text(json.dumps(stored))
    return folder


def _tampered(path: Path) -> None:
    """Gives the last evaluation a reason, and all of them a machine, that would break a page."""
    with closing(sqlite3.connect(path)) as database:
        made = json.dumps(dict.fromkeys(("host", "machine", "python", "torch", "finished"), HOSTILE))
        database.execute("update evaluation set provenance = ?", (made,))
        (last,) = database.execute("select max(rowid) from evaluation").fetchone()
        reason = json.dumps({"infeasible": HOSTILE})
        database.execute("update evaluation set outcome = ? where rowid = ?", (reason, last))
        database.commit()


@dataclass
class Read(HTMLParser):
    """A page read again: its elements, its texts, its tables and its scripts."""

    text: str = ""
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "img"):
            self.inside.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] == "script":
            self.scripts[-1] += data
        elif self.inside and self.inside[-1] != "style":
            self.text += data
            if self.inside[-1] in ("td", "th"):
                self.tables[-1][-1][-1] += data

    def attributes(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def read(path: Path) -> Read:
    """The page in a file."""
    page = Read()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert not page.inside
    return page


def plain(text: str) -> str:
    """The text with its white space as single spaces."""
    return re.sub(r"\s+", " ", text)
