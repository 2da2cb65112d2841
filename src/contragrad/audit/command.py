"""`contragrad audit`: from a run or a model to a report card."""

import io
import json
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from contragrad import config_file, history, run, workers
from contragrad.attack_library import norm_of
from contragrad.audit import card, target
from contragrad.audit.arsenal import WEIGHTS, Arsenal, seconds, untrained
from contragrad.audit.checks.every import judged
from contragrad.audit.findings import Facts, Findings
from contragrad.audit.plots import PICTURES
from contragrad.audit.runner import Runner, sample
from contragrad.audit.settings import AuditSettings, radius
from contragrad.audit.target import Target
from contragrad.config import StudyConfig
from contragrad.data.balance import chance
from contragrad.data.dataset import Dataset, Examples
from contragrad.errors import UserError
from contragrad.extras import require
from contragrad.files import named, write_text
from contragrad.fingerprint import fingerprint
from contragrad.reference import architecture
from contragrad.watch.events import Watcher
from contragrad.workspace import Workspace

CARD = "card.json"
TEXT = "card.txt"


def audit(
    given: str,
    *,
    network: str | None,
    weights: Path | None,
    study_file: Path | None,
    out: Path | None,
    overrides: Sequence[str],
    settings: Mapping[str, Any],
    watch: Watcher,
) -> tuple[Findings, Path]:
    """Audits a network of a study that has ended, or anyone's network, and writes its card.

    What a killed audit has trained and attacked is found again.

    Args:
        given: a run folder, an ONNX file, or a factory `package.module:function`.
        network: which of the run's.
        weights: the factory's.
        study_file: names a model's data and reference.
        out: a model's run folder.
        overrides: settings that differ from the file's.
        settings: how deep, by the names of `AuditSettings`; radii as text.
        watch: who is told.

    Returns:
        What was found, and the card's folder.

    Raises:
        UserError: if the network, the data or the reference cannot be had, or do not fit each other.
    """
    begun = time.monotonic()
    of_run = is_run(given)
    _require_fitting(of_run, network, weights, study_file, out, overrides)
    if not of_run:
        target.require_file(given, weights)
        _require_named(study_file, overrides)
    folder = Path(given) if of_run else Path(str(out))
    config = history.stored_config(folder) if of_run else config_file.read(study_file, overrides)
    depth = _settings(settings, config)
    require(("foolbox", "matplotlib", "pyautoattack"), "audit", job="the audit", where="audit")
    # Before a reference is trained for it.
    model = None
    if not of_run:
        images, place = run.open_data(config, folder)
        model = target.of_file(place, given, weights)
        _require_time(place, images, depth.minutes)
    dataset, workspace = run.entered(config, folder, watch)
    training = target.training_of(workspace, network) if of_run else None
    with run.opened(workspace, dataset, watch) as (_, splits):
        chosen = model or target.of_run(workspace, splits, training)
        looks = history.load(folder).looks if of_run else None
        selected = config.fitness_split == "test" if of_run else None
        with workers.executor_of(workspace) as executor:
            arsenal = Arsenal(
                workspace=workspace,
                splits=splits,
                target=chosen,
                settings=depth,
                executor=executor,
                watch=watch,
            )
            audited = sample(splits.test, depth.images, config.seed)
            known = facts(workspace, audited, chosen, selected=selected, looks=looks)
            found = Runner(arsenal=arsenal, begun=begun).run(known)
    return found, _written(found, folder / "audit" / _slug(chosen.name) / _slug(radius(depth.epsilon)))


def _settings(given: Mapping[str, Any], config: StudyConfig) -> AuditSettings:
    """The audit's settings; without an epsilon, the study's.

    Raises:
        UserError: if a value is wrong, or if the study's epsilon is that of another norm.
    """
    if "epsilon" not in given and norm_of(config.attack.name) != "linf":
        raise UserError(
            f"the study's attack {config.attack.name} has no L_inf radius",
            where="--epsilon",
            remedy="an L_inf radius, such as 8/255",
        )
    radii = {
        name: _radius(given[name], f"--{name.replace('_', '-')}")
        for name in ("epsilon", "l2_epsilon")
        if name in given
    }
    return AuditSettings(**{"epsilon": config.attack.epsilon, **given, **radii})


def _radius(text: str, where: str) -> Fraction:
    try:
        return config_file.fraction(text)
    except ValueError as error:
        raise UserError(f"{text} is no number", where=where, remedy="a number, or such as 8/255") from error


def _require_fitting(
    of_run: bool,
    network: str | None,
    weights: Path | None,
    study_file: Path | None,
    out: Path | None,
    overrides: Sequence[str],
) -> None:
    """Refuses what belongs to the other kind of target.

    Raises:
        UserError: naming the option.
    """
    wrong: dict[str, object]
    if of_run:
        wrong = {
            "--weights": weights,
            "--config": study_file,
            "--out": out,
            " ".join(overrides): tuple(overrides) or None,
        }
        remedy = "leave it out: a run has its settings, data and weights"
    else:
        wrong, remedy = {"--network": network}, "leave it out: a model is one network"
    for option, value in wrong.items():
        if value is not None:
            raise UserError(f"{option} does not go with such a target", where=option, remedy=remedy)
    if not of_run and out is None:
        raise UserError("there is no folder for the audit", where="--out", remedy="a folder to make")


def _require_named(study_file: Path | None, overrides: Sequence[str]) -> None:
    """Refuses to train a reference that nobody asked for, on images that nobody named.

    Raises:
        UserError: if a model's data or reference stand nowhere.
    """
    for what in ("data", "reference"):
        if study_file is None and not any(word.startswith(f"--{what}.") for word in overrides):
            raise UserError(
                f"the model's {what} is not named",
                where=f"--{what}",
                remedy="--data and --reference, or a study file with both as --config",
            )


def facts(
    workspace: Workspace, audited: Examples, chosen: Target, *, selected: bool | None, looks: int | None
) -> Facts:
    """What is known of the target and of the images that are attacked, beside measurements."""
    config = workspace.config
    return Facts(
        target=chosen.name,
        reference=config.reference.factory or config.reference.architecture,
        architecture=chosen.architecture,
        objective=chosen.objective,
        epochs=chosen.epochs,
        recipe_known=chosen.recipe_known,
        classes=workspace.problem.classes,
        chance=chance(audited),
        selected_on_test=selected,
        looks=looks,
        weights=str(chosen.weights),
        fingerprint=chosen.fingerprint,
        settings_fingerprint=fingerprint("settings/1", config),
        seed=config.seed,
    )


def _require_time(workspace: Workspace, dataset: Dataset, minutes: float | None) -> None:
    """Refuses to train a reference that alone would take longer than the audit may.

    Raises:
        UserError: saying how long, about.
    """
    config = workspace.config
    there = workspace.artefacts.find("network", workspace.reference_name) is not None
    if minutes is None or there or config.reference.weights is not None:
        return
    network = untrained(architecture(config.reference), workspace.problem)
    steps = config.reference.epochs * len(dataset.train) * WEIGHTS
    if (taken := steps * seconds(network, dataset.test) / 60) > minutes:
        raise UserError(
            f"to train the reference takes about {taken:.0f} minutes, and the audit may take {minutes:g}",
            where="--budget",
            remedy="--reference-weights, --reference.epochs, or a larger budget",
        )


def of_model(data: str | None, reference: str | None, weights: str | None) -> list[str]:
    """The settings that name a model's data and reference.

    Args:
        data: an npz file, or an image folder.
        reference: an architecture's name, or a factory `package.module:function`.
        weights: the reference's, a safetensors file.
    """
    found = []
    if data is not None:
        kind = "image-folder" if Path(data).expanduser().is_dir() else "npz"
        found += [f"--data.source={kind}", f"--data.path={data}"]
    if reference is not None:
        found.append(f"--reference.{'factory' if ':' in reference else 'architecture'}={reference}")
    if weights is not None:
        found.append(f"--reference.weights={weights}")
    return found


def is_run(given: str) -> bool:
    """Whether a run folder is meant, not a model."""
    return Path(given).is_dir() or (":" not in given and not Path(given).suffix)


def printed(findings: Findings, console: Console) -> None:
    """Shows the card."""
    console.rule(Text(card.title(findings)), align="left")
    console.print(Text(card.verdict(findings)))
    console.print(card.attackers_table(findings))
    console.print(Text(card.notes(findings)))
    console.print(card.checks_table(judged(findings)))


def _written(findings: Findings, folder: Path) -> Path:
    with named(folder, "the folder cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CARD, json.dumps(card.content(findings), indent=1) + "\n")
    page = Console(width=120, file=io.StringIO())
    with page.capture() as text:
        printed(findings, page)
    write_text(folder / TEXT, text.get())
    for name, draw in PICTURES.items():
        draw(findings, folder / name)
    return folder


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-") or "network"
