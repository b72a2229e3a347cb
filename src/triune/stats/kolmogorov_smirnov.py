"""Do two samples come from one distribution? The test of Kolmogorov and Smirnov.

Definition
    ``D`` is the largest distance between the two empirical distribution functions, from 0 to 1. The
    p-value is the chance of one as large between two samples of one distribution: that of
    Kolmogorov's limit at ``sqrt(n m / (n + m)) D``.

Assumptions
    Independent samples, looked at once. With ties (whole numbers, rounded values) the p-value is
    too large: the test then rejects too rarely.

Guarantee
    Asymptotic, for one look at a time fixed beforehand. With many rows it sees differences that
    matter to nobody: read ``D``, its size, before p.

Source
    Smirnov (1948), Table for estimating the goodness of fit of empirical distributions.
    Kolmogorov's limit is scipy's; its ``ks_2samp(method="asymp")`` corrects for few values, and has
    no answer for one value on either side.

>>> found = compare([1, 2, 3, 4], [3, 4, 5, 6])
>>> found.d, round(found.p, 2)
(0.5, 0.7)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import kolmogorov


class Distance(NamedTuple):
    """The largest distance of the distribution functions, and its p-value."""

    d: float
    p: float


def compare(x: ArrayLike, y: ArrayLike) -> Distance:
    """The distance between two samples. Raises ValueError for an empty one."""
    a, b = (np.sort(np.asarray(values, "float64")) for values in (x, y))
    if not len(a) or not len(b):
        raise ValueError("need at least one value on either side")
    at = np.concatenate([a, b])
    below = [np.searchsorted(one, at, side="right") / len(one) for one in (a, b)]
    d = float(np.abs(below[0] - below[1]).max())
    scale = (len(a) * len(b) / (len(a) + len(b))) ** 0.5
    return Distance(d, float(kolmogorov(scale * d)))
