"""How many units an A/B test needs, or how small an effect so many units would show.

Definition
    With ``s`` the candidate's share of the units and ``d = p1 - p0``, the z test at one look
    needs::

        n = (z_a sqrt(p (1-p) / (s (1-s))) + z_b sqrt(p0 (1-p0)/(1-s) + p1 (1-p1)/s))^2 / d^2

    units in both arms together, with p the pooled share, ``z_a`` and ``z_b`` the normal points of
    ``alpha / 2`` and of the power. The sequential test (:mod:`triune.stats.sequential_effect`),
    tuned to that n, has instead of ``z_a`` the radius of its interval in standard errors, about 3
    at alpha 0.05.

    Any other metric, with the variance ``v`` a unit (:class:`triune.stats.effect.Arm`; CUPED leaves
    ``1 - rho^2`` of it)::

        n = (z_a + z_b)^2 v / (s (1-s)) / d^2,      d = (z_a + z_b) sqrt(v / (s (1-s)) / n)

Parameters
    ``p0`` control's share, ``p1`` the candidate's that should be seen; ``alpha``, ``power`` and
    ``share``.

Assumptions
    Independent units; a normal approximation. The sequential figure is for the last look at the
    planned n; most such tests end earlier.

Guarantee
    The test finds the difference in a share of ``power`` of all tests, approximately.

Source
    Fleiss, Levin and Paik (2003), section 4.

>>> units(0.10, 0.11), units(0.10, 0.11, sequential=True)
(29502, 56494)
>>> units_of(4.0, 0.1), round(effect_of(4.0, 12559), 4)
(12559, 0.1)
"""

from __future__ import annotations

import math

from scipy.stats import norm

from triune.stats.asymptotic import radius, tuning
from triune.stats.mixture_bound import log_threshold


def units(
    p0: float,
    p1: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    share: float = 0.5,
    sequential: bool = False,
) -> int:
    """Units in both arms together. Raises ValueError for equal or impossible shares."""
    z = reach(alpha, sequential=sequential)
    return shares_units(p0, p1, z=z, power=power, share=share)


def shares_units(
    p0: float,
    p1: float,
    *,
    z: float,
    power: float = 0.8,
    share: float = 0.5,
) -> int:
    """The same with ``z``, how many standard errors the interval reaches.

    >>> shares_units(0.10, 0.11, z=reach(0.05))
    29502
    """
    if not (0.0 <= p0 <= 1.0 and 0.0 <= p1 <= 1.0 and p0 != p1):
        raise ValueError(f"p0 and p1 must differ and lie in [0, 1], not {p0} and {p1}")
    if not (0.0 < power < 1.0 and 0.0 < share < 1.0):
        raise ValueError(f"power and share must lie between 0 and 1, not {power} and {share}")
    pooled = p0 * (1.0 - share) + p1 * share
    apart = math.sqrt(p0 * (1.0 - p0) / (1.0 - share) + p1 * (1.0 - p1) / share)
    same = math.sqrt(pooled * (1.0 - pooled) / (share * (1.0 - share)))
    return math.ceil(((z * same + float(norm.ppf(power)) * apart) / (p1 - p0)) ** 2)


def units_of(
    variance: float,
    effect: float,
    *,
    z: float = 1.959963984540054,
    power: float = 0.8,
    share: float = 0.5,
) -> int:
    """The same for any metric of a known variance a unit, and an effect in its own unit.

    ``z``: how many standard errors the interval reaches, by :func:`reach`. Raises ValueError for
    an effect of 0, a variance below 0 or impossible shares.
    """
    _check(variance, power, share)
    if effect == 0.0 or not math.isfinite(effect):
        raise ValueError(f"the effect must be finite and not 0, not {effect}")
    needed = z + float(norm.ppf(power))
    return math.ceil(needed**2 * variance / (share * (1.0 - share)) / effect**2)


def effect_of(
    variance: float,
    n: float,
    *,
    z: float = 1.959963984540054,
    power: float = 0.8,
    share: float = 0.5,
) -> float:
    """The other way round: the smallest effect that so many units in both arms show."""
    _check(variance, power, share)
    if not n > 0.0:
        raise ValueError(f"n must be above 0, not {n}")
    return (z + float(norm.ppf(power))) * math.sqrt(variance / (share * (1.0 - share)) / n)


def reach(alpha: float, *, sequential: bool = False, one_sided: bool = False) -> float:
    """How many standard errors an interval reaches at the planned n.

    Tuned to n itself, the sequential one reaches the same number of them at every n.

    >>> round(reach(0.05), 2), round(reach(0.05, sequential=True), 2)
    (1.96, 3.04)
    """
    log_threshold(alpha)
    if not sequential:
        return float(norm.isf(alpha if one_sided else alpha / 2.0))
    return radius(1.0, alpha, tuning(alpha, 1.0, one_sided=one_sided), one_sided=one_sided)


def _check(variance: float, power: float, share: float) -> None:
    if not (0.0 <= variance < math.inf and 0.0 < power < 1.0 and 0.0 < share < 1.0):
        raise ValueError(
            f"need a variance of at least 0, and power and share between 0 and 1: "
            f"{variance}, {power}, {share}"
        )
