"""What a network can be exported as, and what its files are called."""

from typing import Literal

FormatName = Literal["safetensors", "onnx", "torch-export", "python", "text"]

SUFFIXES: dict[FormatName, str] = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "torch-export": ".pt2",
    "python": ".py",
    "text": ".txt",
}
