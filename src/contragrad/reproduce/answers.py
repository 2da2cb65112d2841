"""What networks answered to test images, remembered: a table goes on anywhere, without their weights.

So is what the reference answered to images that an epsilon is calibrated on, never the test's; the fitness by
epoch of a training whose best epoch was kept; and what became of those that failed.
"""

from collections.abc import Sequence
from math import isnan

import numpy as np
import torch
from torch import Tensor

from contragrad.engine.evaluations import provenance
from contragrad.engine.memo import Memo, Record
from contragrad.errors import UserError
from contragrad.fingerprint import Plain, fingerprint
from contragrad.jobs.curve import is_fitness


def recall(memo: Memo, network: str, images: str) -> Tensor | None:
    """Whether a network gave each of the images its label, bool (N,); None if it was never asked.

    Args:
        memo: of the study.
        network: names its weights, and what its images go through.
        images: names them.

    Raises:
        UserError: if it was remembered wrongly.
    """
    record = memo.get(_key(network, images))
    if record is None:
        return None
    try:
        packed = np.frombuffer(bytes.fromhex(str(record.outcome["right"])), np.uint8)
        count = record.outcome["images"]
        if type(count) is not int or not 0 <= count <= 8 * len(packed):
            raise ValueError(f"{len(packed)} bytes have no {count} answers")
        return torch.from_numpy(np.unpackbits(packed, count=count).astype(bool))
    except (KeyError, ValueError) as error:
        raise UserError(
            f"the answers of {record.task} were remembered wrongly: {error}",
            where=f"{record.key} in the study's database",
            remedy="a backup of the database, or its row deleted: the network is asked again",
        ) from error


def remember(memo: Memo, network: str, images: str, right: Tensor, *, what: str, seconds: float) -> None:
    """Remembers whether a network gave each of the images its label, bool (N,).

    Args:
        memo: of the study.
        network: as `recall` is given it.
        images: as `recall` is given them.
        right: what is remembered.
        what: was asked, for people.
        seconds: how long it took.
    """
    packed = np.packbits(right.numpy().astype(bool)).tobytes().hex()
    outcome: dict[str, Plain] = {"right": packed, "images": len(right)}
    _put(memo, _key(network, images), outcome, task=what, seconds=seconds)


def _put(memo: Memo, key: str, outcome: dict[str, Plain], *, task: str, seconds: float = 0.0) -> None:
    memo.put(Record(key=key, task=task, outcome=outcome, seconds=seconds, provenance=provenance()))


def _key(network: str, images: str) -> str:
    return fingerprint("right/1", network, images)


def recall_fitness(memo: Memo, name: str) -> tuple[float, ...] | None:
    """The fitness after each epoch of a network's training; None if it was not remembered.

    Args:
        memo: of the study.
        name: names the network's weights.
    """
    record = memo.get(_fitness_key(name))
    if record is None:
        return None
    listed = record.outcome.get("fitness")
    stored = listed if isinstance(listed, list) else []
    found = tuple(each for each in stored if isinstance(each, float) and not isnan(each))
    if not found or len(found) != len(stored) or not is_fitness(found):
        raise UserError(
            f"the fitness by epoch of {record.task} was remembered wrongly",
            where=f"{record.key} in the study's database",
            remedy="a backup of the database, or its row deleted: how the training went is then not known",
        )
    return found


def remember_fitness(memo: Memo, name: str, fitness: Sequence[float], *, what: str) -> None:
    """Remembers the fitness after each epoch of a network's training.

    Args:
        memo: of the study.
        name: names the network's weights.
        fitness: is remembered.
        what: the network is called, for people.
    """
    stored: list[Plain] = list(fitness)
    _put(memo, _fitness_key(name), {"fitness": stored}, task=f"the training of {what}")


def _fitness_key(name: str) -> str:
    return fingerprint("fitness/1", name)


def recall_gap(memo: Memo, name: str) -> str | None:
    """What became of a training whose network is missing, or of examples; None if nothing did.

    Args:
        memo: of the study.
        name: names the network's weights, or the examples.
    """
    record = memo.get(_gap_key(name))
    return None if record is None else str(record.outcome.get("infeasible", "did not come to its end"))


def remember_gap(memo: Memo, name: str, why: str, *, what: str) -> None:
    """Remembers that there will be no such network or examples, so that they are not made again.

    Args:
        memo: of the study.
        name: names the network's weights, or the examples.
        why: what became of them, such as `diverged: the loss was not finite`.
        what: they are called, for people.
    """
    _put(memo, _gap_key(name), {"infeasible": why}, task=what)


def _gap_key(name: str) -> str:
    return fingerprint("no network/1", name)
