"""Anyone's network as an ONNX file, made a torch network that gradients pass through."""

from pathlib import Path

from torch import nn

from contragrad.evolution.shapes import Problem
from contragrad.extras import lacking


def load_onnx(path: Path, problem: Problem | None = None) -> nn.Module:
    """The network of an ONNX file, in evaluation mode, on the CPU.

    It was compared with onnxruntime on random images. A softmax at its end is cut off, for gradients are
    lost to rounding behind it where the network is certain; the classes it gives stay the same. A network
    exported for a batch of one is asked for one image at a time, which is slow. Whether its gradients
    lead anywhere is not asked: a network that hides them is for an audit to find out.

    No code of the file is run, nothing is unpickled, and nothing is read outside the file's folder.

    Args:
        path: the file. It takes float32 images (B, C, H, W) in [0, 1], so a normalisation is inside.
        problem: what the images and classes are; what the file states if left out.

    Returns:
        float32 images (B, C, H, W) -> logits (B, classes), differentiable. Its weights are parameters.

    Raises:
        UserError: if the extra is not installed, the file is missing, damaged, too large or not ONNX, the
            network is for other images or classes, has operators that cannot be converted or
            differentiated, mixes the images of a batch, gives probabilities of which the logits are not to
            be had, or answers otherwise than by onnxruntime.
    """
    try:
        from contragrad.onnx.network import load
        from contragrad.onnx.sizes import stated_problem
    except ImportError as error:
        packages = "onnx, onnx2torch and onnxruntime"
        raise lacking(packages, "onnx", job="an ONNX file", where=str(path)) from error
    return load(path, stated_problem(path) if problem is None else problem)
