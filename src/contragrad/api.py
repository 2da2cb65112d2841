"""The words of the command line as functions: five lines to evolve, audit and export.

from contragrad import api

study = api.evolve("study.yaml", out="runs/mine")
print(api.audit(study.folder, budget=5).verdict)
api.export(study.folder, format="onnx")
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console

from contragrad.audit import asked, command
from contragrad.engine.memory import keep_freed_memory
from contragrad.errors import UserError
from contragrad.export import job
from contragrad.export.job import Exported
from contragrad.export.load import load
from contragrad.export.names import FormatName
from contragrad.jobs import run
from contragrad.results import Audit, Study, run_folder_by_time
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import Watcher, nobody
from contragrad.watch.live import display

__all__ = ["Audit", "Exported", "Study", "audit", "evolve", "export", "load", "resume"]

Settings = Mapping[str, object]
"""Settings by their dotted names, as the command line has them: {"search.generations": 50}."""


def evolve(
    config: StudyConfig | str | Path | None = None,
    *,
    out: str | Path | None = None,
    settings: Settings | None = None,
    progress: bool = False,
) -> Study:
    """A new study: evolves networks against a reference.

    Args:
        config: a study file (YAML), or the settings; the paper's if left out.
        out: run folder to make; named by the time if left out.
        settings: what differs from the study file.
        progress: whether it tells on standard error what it is doing.

    Raises:
        UserError: if the folder exists, or for whatever in the settings or the data is wrong.
    """
    if not isinstance(config, StudyConfig):
        config = config_file.read(_path(config), _words(settings))
    elif settings:
        raise UserError(
            "a StudyConfig holds all settings", where="settings", remedy="dataclasses.replace(config, ...)"
        )
    else:
        config = config_file.normalised(config)
    folder = _path(out) or run_folder_by_time()
    with _working(progress) as told:
        return Study(folder, run.create(config, folder, told))


def resume(folder: str | Path, *, settings: Settings | None = None, progress: bool = False) -> Study:
    """Takes up a study where it was left; one that has ended gives its table again.

    Args:
        folder: its run folder.
        settings: where it runs, or a greater length; the rest of a study is fixed.
        progress: whether it tells on standard error what it is doing.

    Raises:
        UserError: if the folder holds no study, or settings or data are not those it began with.
    """
    with _working(progress) as told:
        place = _home(folder)
        return Study(place, run.resume(place, _words(settings), told))


def audit(
    target: str | Path,
    *,
    network: str | None = None,
    weights: str | Path | None = None,
    data: str | Path | None = None,
    reference: str | None = None,
    reference_weights: str | Path | None = None,
    config: str | Path | None = None,
    out: str | Path | None = None,
    recipe_known: bool = False,
    settings: Settings | None = None,
    epsilon: str | Fraction | None = None,
    images: int | None = None,
    steps: int | None = None,
    restarts: int | None = None,
    queries: int | None = None,
    distilled: int | None = None,
    surrogates: int | None = None,
    l2_epsilon: str | Fraction | None = None,
    tolerated: float | None = None,
    budget: float | None = None,
    progress: bool = False,
) -> Audit:
    """How far a network's resistance holds: a report card.

    How deep it goes is said by `AuditSettings`, whose words and defaults are these; `budget` are its minutes.

    Args:
        target: a run folder, an ONNX file, or a factory `package.module:function`, whose code is run.
        network: which of the run's, as its table calls it; its best evolved one if left out.
        weights: safetensors file of a factory's network.
        data: a model's images: an npz file, or an image folder.
        reference: the public network of a model: an architecture's name, or a factory, whose code is run.
        reference_weights: safetensors file of the reference, which is trained if it is left out.
        config: study file for these and more.
        out: run folder of a model, made or gone on with.
        recipe_known: whether a model was trained by `training.objective` for `reference.epochs`; else that is
            assumed, and who knows the recipe is not shown to be withstood.
        settings: what differs from the study file.
        epsilon: radius of the L_inf attacks in pixel units, such as "16/255"; the study's if left out.
        images: test images to attack.
        steps: gradient steps of the attacks.
        restarts: random starts of the white-box attack.
        queries: answers that an attacker may ask for, for each image.
        distilled: answers that an attacker may ask for to train a copy on, in all.
        surrogates: networks that an attacker who knows the recipe trains.
        l2_epsilon: radius of the L_2 attacks in pixel units.
        tolerated: share of images that an attacker may fool and still be withstood.
        budget: minutes that it may take; no limit if left out.
        progress: whether it tells on standard error what it is doing.

    Raises:
        UserError: if the network, the data or the reference cannot be had, or do not fit each other.
    """
    depth = {
        "epsilon": epsilon,
        "images": images,
        "steps": steps,
        "restarts": restarts,
        "queries": queries,
        "distilled": distilled,
        "surrogates": surrogates,
        "l2_epsilon": l2_epsilon,
        "tolerated": tolerated,
        "minutes": budget,
    }
    of_model = asked.of_model(
        *(None if given is None else str(given) for given in (data, reference, reference_weights))
    )
    with _working(progress) as watch:
        findings, folder = command.audit(
            str(_home(target)),
            network=network,
            weights=_path(weights),
            study_file=_path(config),
            out=_path(out),
            overrides=[*of_model, *_words(settings)],
            # Radii are read as they are typed.
            settings={
                name: str(value) if name.endswith("epsilon") else value
                for name, value in depth.items()
                if value is not None
            },
            watch=watch,
            recipe_known=recipe_known,
        )
    return Audit(folder, findings)


def export(
    folder: str | Path,
    *,
    network: str | None = None,
    format: FormatName = "safetensors",
    out: str | Path | None = None,
    force: bool = False,
) -> Exported:
    """Writes a network of a run that has ended to a file, compares it, and writes a model card beside it.

    Args:
        folder: the run folder.
        network: as the run's table calls it; its best evolved one if left out.
        format: the file's.
        out: the file to make; in the run's folder `export` if left out.
        force: whether files that are there are replaced.

    Raises:
        UserError: if the run has not ended or has no such network, if there are such files, or if what was
            written does not answer as the network does.
    """
    return job.export(_home(folder), network=network, kind=format, out=_path(out), force=force)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else _home(given)


def _home(given: str | Path) -> Path:
    """The path with a home folder in the place of ~."""
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        what = "whose home folder that is cannot be told"
        raise UserError(what, where=str(given), remedy="a path") from error


def _words(settings: Settings | None) -> list[str]:
    """The settings as the command line has them."""
    return [f"--{key}={_word(value)}" for key, value in (settings or {}).items()]


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | Path | Fraction) else json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """Numbers of numpy's or torch's as Python's."""
    if not hasattr(value, "tolist"):
        kind = type(value).__name__
        raise UserError(f"a {kind} is no setting", where="settings", remedy="a number, a text, or a list")
    return value.tolist()


@contextmanager
def _working(shown: bool) -> Iterator[Watcher]:
    """A block that trains and attacks in this process, and who watches it."""
    keep_freed_memory()
    if not shown:
        yield nobody
        return
    with display(Console(stderr=True)) as watch:
        yield watch
