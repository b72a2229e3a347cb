"""Two shares of yes/no outcomes, compared once.

Definition
    An arm with ``k`` of ``n`` successes has the value ``k / n`` and the variance
    ``p (1 - p)`` a unit. The chi-square test pools the shares for its p-value (it equals the
    pooled z test, without a continuity correction); the interval of the difference is Wald's, not
    pooled.

Parameters
    Successes and units of control and candidate, ``alpha``.

Assumptions
    Independent units, one outcome each; at least about ten of either outcome in each arm.

Guarantee
    Asymptotic, for one look at a time fixed beforehand.

Source
    Pearson (1900). Agrees with spotify-confidence 4.1.0. For looks at any time:
    :mod:`triune.stats.sequential_effect` with :func:`proportion`, or strictly
    :mod:`triune.stats.bernoulli`.

>>> found = chi_square((1000, 10000), (1080, 10050), 0.05)
>>> [round(x, 4) for x in (found.estimate, found.low, found.high, found.p)]
[0.0075, -0.001, 0.0159, 0.0831]
"""

from __future__ import annotations

import math

from scipy.stats import norm

from triune.stats.comparison import Comparison, Side, around
from triune.stats.effect import Arm, Effect, absolute


def proportion(successes: float, n: int) -> Arm:
    """An arm of yes/no outcomes. Raises ValueError unless ``0 <= successes <= n``, ``n > 0``.

    >>> proportion(20, 1000)
    Arm(n=1000, value=0.02, variance=0.0196, base=None, base_variance=0.0, covariance=0.0)
    """
    if not (0 <= successes <= n and n > 0):
        raise ValueError(f"impossible counts: {successes} of {n}")
    share = successes / n
    return Arm(n, share, share * (1.0 - share))


def chi_square(
    control: tuple[float, int], candidate: tuple[float, int], alpha: float
) -> Comparison:
    """The chi-square test of (successes, units) of both arms; p is 1.0 when all outcomes agree."""
    arms = proportion(*control), proportion(*candidate)
    effect = absolute(*arms)
    pooled = proportion(control[0] + candidate[0], control[1] + candidate[1])
    error = math.sqrt(pooled.variance * (1.0 / control[1] + 1.0 / candidate[1]))
    z = Effect(effect.value, error, math.inf, effect.n).z
    half = float(norm.isf(alpha / 2.0)) * effect.error
    return around(effect.value, half, float(2.0 * norm.sf(abs(z))), Side.BOTH)
