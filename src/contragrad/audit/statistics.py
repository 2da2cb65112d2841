"""What so few images leave open: tests on the same images, and intervals of differences and means."""

from collections.abc import Sequence
from math import inf, sqrt

from scipy.stats import binomtest
from scipy.stats import t as student
from torch import Tensor

from contragrad.evaluate import Interval, Share

SIGNIFICANT = 0.05
"""P-value from which on two networks count as alike."""


def mcnemar(first: Tensor, second: Tensor) -> float:
    """The exact p-value of McNemar's test that two networks are right equally often on the same images.

    Args:
        first: whether the one is right, bool (N,).
        second: whether the other is.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def difference(more: Sequence[Share], less: Sequence[Share]) -> Interval:
    """The 95 % interval of a sum of shares less a sum of others, from their Wilson intervals.

    It is too wide for shares of the same images. Where a share counts no image, anything is possible.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method
        10; Zou and Donner 2008 for more than two.
    """
    centre = below = above = 0.0
    for sign, shares in ((1, more), (-1, less)):
        for share in shares:
            if share.interval is None:
                return -inf, inf
            own = share.hits / share.count
            down, up = own - share.interval[0], share.interval[1] - own
            centre += sign * own
            below += (down if sign > 0 else up) ** 2
            above += (up if sign > 0 else down) ** 2
    return centre - sqrt(below), centre + sqrt(above)


def mean_interval(values: Tensor) -> Interval:
    """The 95 % interval of a mean by Student's t; of fewer than two values anything is possible."""
    if len(values) < 2:
        return -inf, inf
    mean, deviation = float(values.double().mean()), float(values.double().std())
    half = float(student.ppf(0.975, len(values) - 1)) * deviation / sqrt(len(values))
    return mean - half, mean + half


def said(share: Share) -> str:
    """A share as people read it, with its interval."""
    if share.interval is None:
        return "no image counts"
    low, high = share.interval
    return f"{100 * share.hits / share.count:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
