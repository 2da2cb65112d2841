"""`contragrad audit`: from a run or a model to a report card."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contragrad.audit import model as models
from contragrad.audit import target
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.asked import depth_of, is_run, require_fitting, require_named, require_recipe
from contragrad.audit.braced import braced
from contragrad.audit.facts import Facts
from contragrad.audit.findings import Findings
from contragrad.audit.pace import duration, seconds, untrained
from contragrad.audit.place import place_of, require_as_deep
from contragrad.audit.runner import Runner, sample
from contragrad.audit.shown import write
from contragrad.audit.target import Target
from contragrad.data.balance import chance
from contragrad.data.dataset import Dataset, Examples
from contragrad.errors import UserError
from contragrad.extras import require
from contragrad.fingerprint import fingerprint
from contragrad.jobs import entry, run, workers
from contragrad.networks.objectives import PLAIN_STEP
from contragrad.reference import architecture
from contragrad.run_folder import history
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.config import ReferenceSettings
from contragrad.watch.events import Stage, Watcher


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
    recipe_known: bool = False,
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
        recipe_known: whether a model was trained as the settings say: `training.objective`, for as many
            epochs as the reference.

    Returns:
        What was found, and the card's folder.

    Raises:
        UserError: if the network, the data or the reference cannot be had, or do not fit each other, or if
            there is a deeper card of the network.
    """
    begun = time.monotonic()
    of_run = is_run(given)
    require_fitting(of_run, network, weights, study_file, out, overrides, recipe_known)
    if not of_run:
        models.require_file(given, weights)
        require_named(study_file, overrides)
    folder = Path(given) if of_run else Path(str(out))
    config = history.stored_config(folder) if of_run else config_file.read(study_file, overrides)
    if recipe_known:
        require_recipe(config, config_file.stated(study_file, overrides))
    depth = depth_of(settings, config)
    require(("foolbox", "kornia", "matplotlib", "pyautoattack"), "audit", job="the audit", where="audit")
    # Before a reference is trained for it.
    model = read = None
    if not of_run:
        watch(Stage("reading the data"))
        read = images, unmade = entry.open_data(config, folder)
        model = models.of_file(unmade, given, weights, images.test, recipe_known)
        models.require_reference(unmade, images.test)
        _require_time(unmade, images, depth.minutes)
    dataset, workspace = entry.entered(config, folder, watch, read)
    training = target.training_of(workspace, network) if of_run else None
    with run.opened(workspace, dataset, watch) as (_, splits):
        run.make_shared(workspace, splits, watch)
        chosen = model or target.of_run(workspace, splits, training)
        place = place_of(folder, chosen, depth.epsilon, of_run=of_run)
        require_as_deep(place, chosen, depth, min(depth.images, len(splits.test)))
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
    write(found, place)
    return found, place


def facts(
    workspace: Workspace, audited: Examples, chosen: Target, *, selected: bool | None, looks: int | None
) -> Facts:
    """What is known of the target and of the images that are attacked, beside measurements."""
    config = workspace.config
    return Facts(
        target=chosen.name,
        data=f"{config.data.source}, fingerprint {workspace.data}",
        reference=config.reference.factory or config.reference.architecture,
        reference_made=_made(config.reference),
        architecture=chosen.text,
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
        seed=None if config.training.keyed else config.seed,
    )


def _made(reference: ReferenceSettings) -> str:
    if reference.weights is not None:
        return f"with the weights of {reference.weights}"
    return f"trained here from scratch, {reference.epochs} epochs"


def _require_time(workspace: Workspace, dataset: Dataset, minutes: float | None) -> None:
    """Refuses to train a reference that alone would take longer than the audit may.

    Raises:
        UserError: saying how long, about.
    """
    config = workspace.config
    there = workspace.artefacts.find("network", workspace.reference_name) is not None
    if minutes is None or there or config.reference.weights is not None:
        return
    network = braced(untrained(architecture(config.reference), workspace.problem), dataset.test)
    steps = config.reference.epochs * len(dataset.train) * PLAIN_STEP
    if (taken := steps * seconds(network, dataset.test)) > 60 * minutes:
        raise UserError(
            f"to train the reference takes about {duration(taken)}, and the audit may take "
            f"{duration(60 * minutes)}",
            where="--budget",
            remedy="--reference-weights, --reference.epochs, or a larger budget",
        )
