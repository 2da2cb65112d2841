"""Torch's random numbers by name, leaving its global generators as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from contragrad.fingerprint import stream_seed


def generator(seed: int, *path: object) -> torch.Generator:
    """A CPU generator for the stream named by `path` under `seed`."""
    return torch.Generator().manual_seed(stream_seed(seed, *path))


@contextmanager
def isolated(seed: int, *path: object) -> Iterator[None]:
    """A block in which torch's global generators deliver the stream named by `path` under `seed`.

    For code that takes no generator: layers that initialise themselves, dropout, an attack's random
    start. Those of the CPU and of CUDA are restored afterwards.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(stream_seed(seed, *path))
        yield
