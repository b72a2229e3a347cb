"""The normal mixture boundary for sums whose noise is sub-Gaussian.

Definition
    Let ``exp(lambda S - lambda^2 V / 2)`` be a supermartingale for every lambda (one-sided: for
    every lambda of at least 0). Mixing lambda over N(0, 1/rho) gives::

        ln M(s, v) = 1/2 ln(rho / (v + rho)) + s^2 / (2 (v + rho))                 (two-sided)
        ln M(s, v) = 1/2 ln(4 rho / (v + rho)) + s^2 / (2 (v + rho))
                     + ln Phi(s / sqrt(v + rho))                                   (one-sided)

    The bound at ``v`` is the s with ``M(s, v) = 1/alpha``. ``rho`` is chosen so that the bound is
    nearly the tightest possible at intrinsic time ``v_opt``:
    ``rho = v_opt / (2 ln(1/a) + ln(1 + 2 ln(1/a)))`` with ``a = alpha_opt``, or
    ``2 alpha_opt`` one-sided.

Parameters
    ``s`` the sum, ``v`` its intrinsic time (for independent terms with variance proxy sigma^2,
    ``n sigma^2``), ``v_opt`` and ``alpha_opt`` the point of tuning, fixed before the data.

Assumptions
    Terms are sub-Gaussian: normal, or bounded (variance proxy a quarter of the squared range).

Guarantee
    The chance that S ever reaches the bound (two-sided: in absolute value) is at most ``alpha``.

Source
    Robbins (1970); Howard, Ramdas, McAuliffe and Sekhon (2021), section 3: conjugate mixtures.
    Agrees with confseq 0.0.11.

>>> round(bound(100, 0.05, 100, one_sided=False), 5)
30.35209
>>> round(log_mixture(10, 100, 100), 5)
-0.06502
"""

from __future__ import annotations

import math

from scipy.special import log_ndtr

from triune.stats.mixture_bound import crossing, log_threshold


def tuned_rho(v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool = True) -> float:
    """The mixture's precision that is best at intrinsic time ``v_opt``.

    Raises ValueError unless ``v_opt > 0`` and ``0 < alpha_opt < 1`` (one-sided: below 1/2).
    """
    if not v_opt > 0.0:
        raise ValueError(f"v_opt must be above 0, not {v_opt}")
    budget = 2.0 * log_threshold(2.0 * alpha_opt if one_sided else alpha_opt)
    return v_opt / (budget + math.log1p(budget))


def log_mixture(
    s: float, v: float, v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool = True
) -> float:
    """ln M(s, v): the logarithm of the evidence that the drift is not zero (or not above it)."""
    return _log_mixture(s, v, tuned_rho(v_opt, alpha_opt, one_sided=one_sided), one_sided)


def bound(
    v: float, alpha: float, v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool = True
) -> float:
    """The s at which ``M(s, v)`` reaches ``1/alpha``."""
    rho = tuned_rho(v_opt, alpha_opt, one_sided=one_sided)
    threshold = log_threshold(alpha)
    if not one_sided:
        return math.sqrt((v + rho) * (math.log1p(v / rho) + 2.0 * threshold))
    return crossing(lambda s: _log_mixture(s, v, rho, True), threshold, start=max(v, 1.0))


def _log_mixture(s: float, v: float, rho: float, one_sided: bool) -> float:
    total = v + rho
    both = 0.5 * math.log(rho / total) + s * s / (2.0 * total)
    if not one_sided:
        return both
    return both + math.log(2.0) + float(log_ndtr(s / math.sqrt(total)))
