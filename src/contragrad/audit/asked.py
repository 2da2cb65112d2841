"""What an audit is asked for, checked: a run or a model, what goes with it, and how deep."""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from contragrad.attacks.library import norm_of
from contragrad.audit.settings import AuditSettings
from contragrad.errors import UserError
from contragrad.settings.checks import fraction
from contragrad.settings.config import StudyConfig


def is_run(given: str) -> bool:
    """Whether a run folder is meant, not a model."""
    return Path(given).is_dir() or (":" not in given and not Path(given).suffix)


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


def depth_of(given: Mapping[str, Any], config: StudyConfig) -> AuditSettings:
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
        return fraction(text)
    except ValueError as error:
        raise UserError(f"{text} is no number", where=where, remedy="a number, or such as 8/255") from error


def require_fitting(
    of_run: bool,
    network: str | None,
    weights: Path | None,
    study_file: Path | None,
    out: Path | None,
    overrides: Sequence[str],
    recipe_known: bool = False,
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
            "--recipe-known": recipe_known or None,
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


def require_recipe(config: StudyConfig, stated: Collection[str]) -> None:
    """Refuses to take a model's recipe for known that nobody has stated, or that is none of one network.

    Raises:
        UserError: naming what is not stated.
    """
    missing = [key for key in ("training.objective", "reference.epochs") if key not in stated]
    if missing:
        raise UserError(
            f"the model's recipe is called known, and {' and '.join(missing)} are not stated",
            where="--recipe-known",
            remedy=" ".join(f"--{key} ..." for key in missing),
        )
    if config.refine.together:
        raise UserError(
            "a model's file is one network, and refine.together is of several",
            where="--recipe-known",
            remedy="the run itself in the model's place, or --refine.together false",
        )


def require_named(study_file: Path | None, overrides: Sequence[str]) -> None:
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
