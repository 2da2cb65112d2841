"""`contragrad export`: a network of a run that has ended, as files that were compared with it."""

from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from contragrad.audit.target import Target, of_run, training_of
from contragrad.data.dataset import Splits, pixels
from contragrad.errors import UserError
from contragrad.export.check import IMAGES, Agreement, compared, require_agreement
from contragrad.export.formats import FORMATS, Format
from contragrad.export.model_card import model_card
from contragrad.export.names import SUFFIXES, FormatName
from contragrad.export.record import recorded
from contragrad.extras import require
from contragrad.files import named, scratch_folder
from contragrad.run_folder.contents import load_splits
from contragrad.run_folder.history import stored_workspace
from contragrad.run_folder.workspace import Workspace, on_cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Args:
        path: the network's file.
        files: all files, that one first.
        agreement: how it compares with the network; None if it has no weights.
    """

    path: Path
    files: tuple[Path, ...]
    agreement: Agreement | None


def export(
    run: Path,
    *,
    network: str | None = None,
    kind: FormatName = "safetensors",
    out: Path | None = None,
    force: bool = False,
) -> Exported:
    """Writes a network of a run that has ended, and a model card beside it.

    The run's data need not be there, nor the device it was trained on.

    Args:
        run: its folder, in which only `export` is written, and that only if no other place is given.
        network: as the run's table calls it; its best evolved one if left out.
        kind: the format.
        out: the file to make.
        force: whether files that are there are replaced.

    Raises:
        UserError: if the run has not ended or has no such network, if a package is missing, if there are
            such files, or if what was written does not answer as the network does.
    """
    form = _format(kind)
    workspace = on_cpu(stored_workspace(run))
    training = training_of(workspace, network)
    splits = load_splits(workspace)
    target = of_run(workspace, splits, training)
    target.network.eval()
    path = _place(workspace, target, kind, out)
    names = [path.name]
    if form.beside:
        names.append(path.with_suffix(form.beside).name)
    if form.answers is not None:
        names.append(f"{path.name}.md")
    there = [path.with_name(name) for name in names if path.with_name(name).exists()]
    if there and not force:
        raise UserError("the file is there", where=str(there[0]), remedy="another --out, or --force")
    with named(path, "the network cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path) as folder:
            agreement = _write(workspace, target, splits, form, kind, folder / path.name)
            for name in names:
                (folder / name).replace(path.with_name(name))
    return Exported(path=path, files=tuple(map(path.with_name, names)), agreement=agreement)


def _format(kind: FormatName) -> Format:
    """The format, once all that it needs is there.

    Raises:
        UserError: if there is no such format, or a package is missing.
    """
    if (form := FORMATS.get(kind)) is None:
        raise UserError(f"there is no format {kind}", where="format", remedy=f"one of: {', '.join(FORMATS)}")
    require(form.needs, "onnx", job=f"the format {kind}", where="--format")
    return form


def _place(workspace: Workspace, target: Target, kind: FormatName, out: Path | None) -> Path:
    """Where the network's file is made.

    Raises:
        UserError: if its name does not end as such files do, or is no module's.
    """
    suffix = SUFFIXES[kind]
    if out is None:
        # A module's name, for Python, is letters.
        joint = "_" if kind == "python" else "-"
        slug = "".join(letter if letter.isalnum() else joint for letter in target.name)
        return workspace.folder / "export" / f"{slug}{suffix}"
    path = out.expanduser()
    if path.is_dir() or path.suffix != suffix:
        raise UserError(f"{kind} files end in {suffix}", where=f"--out: {out}", remedy=f"NAME{suffix}")
    if kind == "python" and not path.stem.isidentifier():
        raise UserError("Python cannot import a module of that name", where=f"--out: {out}", remedy="letters")
    return path


def _write(
    workspace: Workspace, target: Target, splits: Splits, form: Format, kind: FormatName, path: Path
) -> Agreement | None:
    """Writes the network, compares it, and writes the card."""
    form.write(target, workspace.problem, path)
    if form.answers is None:
        return None
    # Never the test images, which the study may look at once only.
    apart = workspace.config.fitness_split == "validation"
    images = pixels((splits.validation if apart else splits.train).images[:IMAGES])
    agreement = compared(target.network, form.answers(path, target), images)
    require_agreement(agreement, path.name)
    digests = {}
    for file in sorted(path.parent.iterdir(), key=lambda file: file.name != path.name):
        with file.open("rb") as content:
            digests[file.name] = file_digest(content, "sha256").hexdigest()
    card = model_card(
        workspace,
        target,
        record=recorded(workspace, target),
        kind=kind,
        files=digests,
        agreement=agreement,
    )
    path.with_name(f"{path.name}.md").write_text(card, encoding="utf-8")
    return agreement
