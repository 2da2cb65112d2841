"""Large tensors as safetensors files named by fingerprint, written whole or not at all."""

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from contragrad.errors import UserError
from contragrad.fingerprint import fingerprint

DIGEST = "sha256"
"""A file's note of what its tensors are and which artefact it is, one for both: safetensors orders none."""
OLDER = "artefact"
"""A note of the latter alone, which files of before 2026-11-27 may have."""


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The folder of a study's artefacts, each a set of named tensors.

    Loaded tensors are mapped, so processes that load the same file share its pages. A file that is
    truncated or altered, or another artefact's, counts as missing, for it can be made again. That is asked
    whenever an artefact is loaded, by a hash of all its tensors.
    """

    folder: Path

    def path(self, kind: str, name: str) -> Path:
        """Where the artefact lies or would lie."""
        return self.folder / f"{_called(kind, name)}.safetensors"

    def find(self, kind: str, name: str) -> dict[str, Tensor] | None:
        """The artefact's tensors; None if it is missing or damaged."""
        while True:
            version = self._version(kind, name)
            found = self._read(kind, name)
            # safetensors opens a file more than once: one that was replaced in between only seems damaged.
            if found is not None or version == self._version(kind, name):
                return found

    def _version(self, kind: str, name: str) -> tuple[int, int] | None:
        """What of the artefact's file changes when it is replaced; None if it cannot be had."""
        try:
            found = self.path(kind, name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _read(self, kind: str, name: str) -> dict[str, Tensor] | None:
        try:
            with safe_open(self.path(kind, name), framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                notes = file.metadata() or {}
        except (FileNotFoundError, SafetensorError):
            return None
        own, digest, noted = _called(kind, name), _digest(tensors), notes.get(DIGEST)
        older = noted == digest and notes.get(OLDER, own) == own
        return tensors if older or noted == f"{digest} {own}" else None

    def load(self, kind: str, name: str) -> dict[str, Tensor]:
        """The artefact's tensors.

        Raises:
            UserError: if it is missing or damaged.
        """
        found = self.find(kind, name)
        if found is None:
            raise UserError(
                "an artefact of the study is missing or damaged",
                where=str(self.path(kind, name)),
                remedy="contragrad resume makes it again",
            )
        return found

    def obtain(self, kind: str, name: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The artefact's tensors, computed and stored if it is missing or damaged."""
        found = self.find(kind, name)
        if found is None:
            self.save(kind, name, compute())
            found = self.load(kind, name)
        return found

    def save(self, kind: str, name: str, tensors: dict[str, Tensor]) -> None:
        """Stores the artefact: beside its place first, then renamed, so nobody reads half of it.

        Raises:
            UserError: if the disk is full, or the folder cannot be written; what was there before is left.
        """
        tensors = _apart(tensors)
        beside = self.folder / f".{_called(kind, name)}.{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, beside, metadata={DIGEST: f"{_digest(tensors)} {_called(kind, name)}"})
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(self.path(kind, name))
        except (OSError, SafetensorError) as error:
            # safetensors gives the system's error in words only.
            if isinstance(error, SafetensorError) and "os error" not in str(error):
                raise
            full = any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))
            raise UserError(
                "the disk is full" if full else f"an artefact cannot be written: {error}",
                where=str(self.folder),
                remedy=f"free room{'' if full else ' and writing rights'}, then contragrad resume",
            ) from error
        finally:
            beside.unlink(missing_ok=True)

    def remove(self, kind: str, name: str) -> None:
        """Removes the artefact if it is there."""
        self.path(kind, name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what killed processes left half-written; only the study's one driver may call it."""
        for pattern in (".*.tmp", ".tmp*"):  # ours, and what safetensors names beside it while it writes
            for left in self.folder.glob(pattern):
                left.unlink(missing_ok=True)


def _called(kind: str, name: str) -> str:
    return f"{kind}-{name}"


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as a file can hold them: tied weights, which share memory, are copied."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for key, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        apart[key] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return apart


def network_fingerprint(network: nn.Module) -> str:
    """A name for a network's weights and buffers: their keys, types, shapes and bytes."""
    return fingerprint("weights/1", _digest(_apart(dict(network.state_dict()))))


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        digest.update(f"{key}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
