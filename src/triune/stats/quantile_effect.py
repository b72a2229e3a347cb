"""A quantile as an arm's value, with the variance that its order statistics show.

Definition
    With ``z`` the normal 97.5 % point, the ranks ``n q -+ z sqrt(n q (1 - q))`` hold the quantile
    with 95 %; half the distance of their values, divided by z, is its standard error::

        variance = (n - 1) ((high - low) / (2 z))^2

Parameters
    ``n`` values, the quantile's estimate, and the values ``low`` and ``high`` at the two ranks.

Assumptions
    Independent values, one a unit; a density above 0 at the quantile. Values clustered by unit
    need a larger variance: use unit means, or :mod:`triune.stats.quantile_ab` with one value a
    unit.

Guarantee
    Asymptotic. Strict and valid at any time: :mod:`triune.stats.quantile_interval` and
    :mod:`triune.stats.quantile_ab`.

Source
    Order-statistic intervals (Conover 1999, 3.2); the factor n - 1 as in gbstats, which raises the
    variance to at least 1e-5 from 100 values on so that ties do not make it 0; so it is here.

>>> arm = quantile(11054, 7.157987, 7.098780, 7.217195)
>>> round((arm.variance / arm.n) ** 0.5, 4)
0.0302
>>> of_samples(range(1, 1001), 0.9).value
900.0
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from triune.stats.effect import Arm

Z = float(norm.ppf(0.975))

SMALLEST_VARIANCE, ENOUGH = 1e-5, 100


def quantile(n: int, estimate: float, low: float, high: float) -> Arm:
    """An arm whose value is a quantile. Raises ValueError unless ``low <= high`` and ``n >= 2``."""
    if not (low <= high and n >= 2):
        raise ValueError(f"need low <= high and n >= 2, not {low}, {high}, {n}")
    variance = (n - 1) * ((high - low) / (2.0 * Z)) ** 2
    return Arm(n, estimate, max(variance, SMALLEST_VARIANCE) if n >= ENOUGH else variance)


def of_samples(samples: ArrayLike, q: float) -> Arm:
    """The same from the values themselves.

    Raises ValueError when there are too few for the two ranks to exist: at least
    ``z^2 max(q, 1 - q) / min(q, 1 - q)``.
    """
    values = np.sort(np.asarray(samples, "float64"), axis=None)
    n, reach = len(values), Z * math.sqrt(len(values) * q * (1.0 - q))
    low, high = math.floor(n * q - reach), math.ceil(n * q + reach)
    if not (0.0 < q < 1.0 and low >= 1 and high <= n):
        raise ValueError(f"{n} values are too few for an interval of the {q} quantile")
    estimate = float(values[max(1, math.ceil(n * q)) - 1])
    return quantile(n, estimate, float(values[low - 1]), float(values[high - 1]))
