"""What a data set is, for people and for scripts."""

from collections.abc import Iterator
from typing import Any

from contragrad.data import memory
from contragrad.data.balance import chance, counts, remarks
from contragrad.data.imports import Found
from contragrad.legible import legible

NAMED = 20
"""Classes of which each has its line; of more, the smallest and the largest have."""


def as_json(found: Found) -> dict[str, Any]:
    """Everything that `as_text` says."""
    dataset = found.dataset
    parts, size = (dataset.train, dataset.test), dataset.train.images.element_size()
    held = memory.of_a_study(sum(map(len, parts)), size)
    train, test = (counts(part, dataset.classes) for part in parts)
    return {
        "kind": found.kind,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "shape": list(dataset.shape),
        "classes": dataset.classes,
        "class_names": dataset.class_names,
        "train_per_class": train,
        "test_per_class": test,
        "chance": chance(dataset.test),
        "memory": sum(part.images.numel() for part in parts) * held,
        "fingerprint": dataset.fingerprint,
        "remarks": list(remarks(dataset)),
    }


def as_text(found: Found) -> str:
    """A few lines: how many images of what shape, the classes, chance, and what must be known of them."""
    return "\n".join(_lines(found))


def _lines(found: Found) -> Iterator[str]:
    said, dataset = as_json(found), found.dataset
    channels, height, width = dataset.shape
    colours = "grey" if channels == 1 else "colour"
    numbers = f"{said['train']:,} training and {said['test']:,} test images"
    yield f"{said['kind']}: {numbers}, {width} x {height}, {colours}"
    constant = f"a constant answer scores {100 * said['chance']:.1f} %"
    yield f"{dataset.classes} classes (training + test images); {constant}"
    names = dataset.class_names or tuple(map(str, range(dataset.classes)))
    per_class = list(zip(names, said["train_per_class"], said["test_per_class"], strict=True))
    if dataset.classes > NAMED:
        per_class = sorted(per_class, key=lambda row: row[1])
        per_class = per_class[:3] + per_class[-3:]
        yield "  of the smallest and the largest:"
    yield from (f"  {legible(name)}: {train:,} + {test:,}" for name, train, test in per_class)
    free = memory.available()
    there = "" if free is None else f"; {memory.bytes_text(free)} are free"
    size = memory.bytes_text(said["memory"])
    yield f"for them a study takes about {size} of memory beside the process itself{there}"
    yield f"fingerprint {said['fingerprint']}"
    yield from (f"note: {remark}" for remark in said["remarks"])
