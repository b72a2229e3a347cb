"""The test of an effect that may be looked at whenever somebody likes.

Definition
    The asymptotic confidence sequence (:mod:`triune.stats.asymptotic`) with n the units of both
    arms together and the effect's standard error: half width ``error sqrt(n) radius(n)``. The
    p-value is the smallest alpha whose interval, tuned as planned, leaves the null value out.

Parameters
    An :class:`~triune.stats.effect.Effect`, ``alpha``, ``n_star`` (the units planned for both
    arms together), the side; all but the effect fixed before the test.

Assumptions
    The effect's own; the arms' shares of the units stay as they are. See
    :class:`~triune.stats.asymptotic.BurnIn` for when to begin looking.

Guarantee
    Asymptotic, at any number of looks: false positives in at most ``alpha`` of all tests. The price
    is an interval about 1.5 times as wide as Welch's at ``n_star``.

Source
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024). Intervals and two-sided p-values agree
    with gbstats' SequentialTwoSidedTTest; gbstats retunes its one-sided p-value for every alpha
    and cuts it off at 0.4999, which is not a p-value that may be looked at any time.

>>> found = sequential(Effect(0.01, 0.004549725, 1e9, 10000), 0.05, 5000)
>>> [round(x, 5) for x in (found.low, found.high, found.p)]
[-0.00393, 0.02393, 0.42339]
"""

from __future__ import annotations

import math

from triune.stats.asymptotic import p_value, radius, tuning
from triune.stats.comparison import Comparison, Side, around
from triune.stats.effect import Effect


def sequential(
    effect: Effect,
    alpha: float,
    n_star: float,
    side: Side = Side.BOTH,
    null: float = 0.0,
) -> Comparison:
    """The anytime-valid interval and this look's p-value; keep the smallest p over all looks.

    Raises ValueError unless ``0 < alpha < 1`` (one-sided: below 1/2) and ``n_star > 0``.
    """
    one_sided = side is not Side.BOTH
    r = tuning(alpha, n_star, one_sided=one_sided)
    half = effect.error * math.sqrt(effect.n) * radius(effect.n, alpha, r, one_sided=one_sided)
    z = Effect(effect.value - null, effect.error, effect.dof, effect.n).z
    p = p_value(-z if side is Side.LESS else z, effect.n, r, one_sided=one_sided)
    return around(effect.value, half, p, side)
