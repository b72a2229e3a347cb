"""The gamma-Poisson mixture boundary, for sums with Poisson-like noise.

Definition
    For noise that is sub-Poisson with scale ``c``, the mixture over a gamma distribution is::

        ln M(s, v) = C + ln Gamma(y) + ln Q(y, a) - y ln a + v / c^2
        a = (v + rho) / c^2,   y = s / c + a

    with Q the regularised upper incomplete gamma function and C such that ``M(0, 0) = 1``. The
    bound is the s with ``M(s, v) = 1/alpha``; ``rho`` is the one-sided normal mixture's.

Parameters
    ``s`` the sum, ``v`` its intrinsic time, ``c`` the scale, in the unit of the terms; ``v_opt``
    and ``alpha_opt`` the point of tuning, fixed before the data.

Assumptions
    ``exp(lambda S - psi(lambda) V)`` is a supermartingale for lambda of at least 0 with
    ``psi(lambda) = (e^{c lambda} - c lambda - 1) / c^2``: Poisson counts minus their mean, or
    terms bounded above by c, with V the sum of their variances.

Guarantee
    The chance that S ever reaches the bound is at most ``alpha``.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021), section 3. Agrees with confseq 0.0.11.

>>> round(log_mixture(10, 100, 100, 2), 6)
-0.069912
"""

from __future__ import annotations

import math

from scipy.special import gammaincc, gammaln

from triune.stats.mixture_bound import crossing, log_threshold
from triune.stats.normal_mixture import tuned_rho


def log_mixture(s: float, v: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> float:
    """ln M(s, v); -inf where it is too small for a float."""
    return _log_mixture(s, v, tuned_rho(v_opt, alpha_opt), c)


def bound(v: float, alpha: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> float:
    """The s at which ``M(s, v)`` reaches ``1/alpha``.

    >>> 22 < bound(100, 0.05, 100, 2) < 33
    True
    """
    rho = tuned_rho(v_opt, alpha_opt)
    threshold = log_threshold(alpha)
    return crossing(lambda s: _log_mixture(s, v, rho, c), threshold, start=max(v, c))


def _log_mixture(s: float, v: float, rho: float, c: float) -> float:
    if not c > 0.0:
        raise ValueError(f"c must be above 0, not {c}")
    prior, a = rho / c**2, (v + rho) / c**2
    y = s / c + a
    return (
        _log_gamma_above(y, a)
        - _log_gamma_above(prior, prior)
        + prior * math.log(prior)
        - y * math.log(a)
        + v / c**2
    )


def _log_gamma_above(a: float, x: float) -> float:
    """ln of the upper incomplete gamma function, not regularised."""
    share = float(gammaincc(a, x))
    return float(gammaln(a)) + math.log(share) if share > 0.0 else -math.inf
