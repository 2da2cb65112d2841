"""`contragrad.load`: a network from a file or a run folder, none of which can run code."""

from pathlib import Path

from torch import nn

from contragrad.audit.target import REFERENCE, training_of
from contragrad.errors import UserError
from contragrad.export import network_file
from contragrad.export.network_file import Description, Factory
from contragrad.jobs.tasks import deployed_architecture, deployed_name
from contragrad.onnx.model import load_onnx
from contragrad.reference import architecture
from contragrad.run_folder.history import stored_workspace


def load(path: str | Path, *, network: str | None = None, factory: Factory | None = None) -> nn.Module:
    """The network of an exported file or of a run that has ended.

    Nothing that is read is run: a file is safetensors with JSON, or ONNX.

    Args:
        path: a safetensors file that `contragrad export` wrote, an ONNX file, or a run folder.
        network: which of a run's networks, as its table calls it; its best evolved one if left out.
        factory: what makes the network, if it is of a factory; called with no arguments.

    Returns:
        float32 images (B, C, H, W) in [0, 1] -> logits (B, classes), in evaluation mode, on the CPU.

    Raises:
        UserError: if there is no such network, or it cannot be had without running code.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return _of_run(place, network, factory)
    if network is not None:
        raise UserError("a file is one network", where="network", remedy="leave it out")
    if not place.is_file():
        raise UserError("there is no such file or folder", where=str(path), remedy="its path")
    match place.suffix:
        case ".safetensors":
            description, tensors = network_file.read(place)
            return network_file.assembled(description, tensors, str(path), factory)
        case ".onnx":
            return load_onnx(place)
        case ".pt2":
            raise UserError(
                "torch.export.load unpickles, and a pickle may run anything",
                where=str(path),
                remedy="torch.export.load(...).module(), if you trust the file; or --format safetensors",
            )
    raise UserError(
        f"{place.suffix or 'such a file'} cannot be read as a network",
        where=str(path),
        remedy="a .safetensors file of contragrad export, an .onnx file or a run folder",
    )


def _of_run(folder: Path, network: str | None, factory: Factory | None) -> nn.Module:
    workspace = stored_workspace(folder)
    task = training_of(workspace, network)
    if task is None:
        name, text, weights = REFERENCE, architecture(workspace.config.reference), workspace.reference_name
    else:
        name, text = task.name, deployed_architecture(task, workspace)
        weights = deployed_name(task, workspace)
    tensors = workspace.artefacts.load("network", weights)
    return network_file.assembled(Description(name, text, workspace.problem), tensors, str(folder), factory)
