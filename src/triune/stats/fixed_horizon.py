"""The classic tests of an effect, for one look at a time fixed beforehand.

Definition
    Welch's t: the effect over its standard error, against Student's distribution with Welch's
    degrees of freedom. z: against the normal one. The interval is the estimate plus and minus the
    matching quantile of the standard error; one-sided it has one end, at level ``1 - alpha``.

Parameters
    An :class:`~triune.stats.effect.Effect` (absolute, relative or log), ``alpha``, the side.

Assumptions
    The effect's own. The test is looked at once: looked at again and again it cries wolf, up to
    every second time in a day (:mod:`triune.stats.sequential_effect` may be looked at any time).

Guarantee
    A false positive rate of ``alpha`` in large samples, at that one look.

Source
    Welch (1947). Agrees with gbstats, spotify-confidence 4.1.0 and tea-tasting 1.14.0.

>>> effect = Effect(2.5, 1.4434, 4.41, 8)
>>> found = welch(effect, 0.05)
>>> [round(x, 2) for x in (found.low, found.high, found.p)]
[-1.36, 6.36, 0.15]
"""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import norm, t

from triune.stats.comparison import Comparison, Side, around
from triune.stats.effect import Effect
from triune.stats.mixture_bound import log_threshold


def welch(effect: Effect, alpha: float, side: Side = Side.BOTH, null: float = 0.0) -> Comparison:
    """Welch's t test of ``effect`` against the value ``null``."""
    return _test(effect, alpha, side, null, norm if math.isinf(effect.dof) else t(effect.dof))


def z_test(effect: Effect, alpha: float, side: Side = Side.BOTH, null: float = 0.0) -> Comparison:
    """The same with the normal distribution.

    >>> round(z_test(Effect(2.5, 1.25, 4.0, 8), 0.05).p, 4)
    0.0455
    """
    return _test(effect, alpha, side, null, norm)


def percent(log_effect: Comparison) -> Comparison:
    """A log effect's comparison turned back into a relative effect: ``e^x - 1``.

    >>> round(percent(Comparison(0.0953, 0.0, 0.1906, 0.05)).estimate, 4)
    0.1
    """
    return Comparison(
        estimate=math.expm1(log_effect.estimate),
        low=math.expm1(log_effect.low),
        high=math.expm1(log_effect.high),
        p=log_effect.p,
    )


def _test(effect: Effect, alpha: float, side: Side, null: float, law: Any) -> Comparison:
    log_threshold(alpha)
    z = Effect(effect.value - null, effect.error, effect.dof, effect.n).z
    if side is Side.BOTH:
        p, quantile = 2.0 * law.sf(abs(z)), law.isf(alpha / 2.0)
    else:
        p, quantile = law.sf(z if side is Side.GREATER else -z), law.isf(alpha)
    return around(effect.value, float(quantile) * effect.error, float(p), side)
