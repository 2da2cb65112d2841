"""The figures of the paper's tables, from what networks answer."""

from torch import Tensor

from contragrad.evaluate import Share
from contragrad.reproduce.definition import Measure


def cell(measure: Measure, labels: Tensor, answers: Tensor, *, clean: Tensor, source: Tensor) -> Share:
    """A figure of one network.

    - `accuracy`: the share of images that are given their label;
    - `fooling rate`: of the images whose clean originals both the source and the network classify
      correctly, the share that the network does not;
    - `fooling rate of the reference's`: the same of those that the source classifies correctly.

    Args:
        measure: which.
        labels: (N,) of the test images.
        answers: (N,), the network's to what was crafted of them, or to themselves.
        clean: (N,), the network's to themselves.
        source: (N,), those of the network on which the examples were crafted, to the clean images.

    Source: sections 3.2 (the accuracies), 4.2.2 and 4.2.3 (the fooling rates).
    """
    right = answers == labels
    if measure == "accuracy":
        return Share(int(right.sum()), len(labels))
    counted = source == labels
    if measure == "fooling rate":
        counted = counted & (clean == labels)
    return Share(int((counted & ~right).sum()), int(counted.sum()))
