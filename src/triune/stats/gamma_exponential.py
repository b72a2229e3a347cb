"""The gamma-exponential mixture boundary, for sums with heavier right tails than a normal's.

Definition
    For noise that is sub-exponential with scale ``c``, the mixture over a gamma distribution is::

        ln M(s, v) = C + ln Gamma(a) + ln P(a, x) - a ln x + (c s + v) / c^2
        a = (v + rho) / c^2,   x = (c s + v + rho) / c^2

    with P the regularised lower incomplete gamma function and C such that ``M(0, 0) = 1``. The
    bound is the s with ``M(s, v) = 1/alpha``; ``rho`` is the one-sided normal mixture's.

Parameters
    ``s`` the sum, ``v`` its intrinsic time, ``c`` the scale, in the unit of the terms; ``v_opt``
    and ``alpha_opt`` the point of tuning, fixed before the data.

Assumptions
    ``exp(lambda S - psi(lambda) V)`` is a supermartingale for ``0 <= lambda < 1/c`` with
    ``psi(lambda) = (-ln(1 - c lambda) - c lambda) / c^2``. With c = 1 this is so for terms in
    [0, 1] minus their mean, with V the sum of squared errors of any prediction made beforehand:
    :mod:`triune.stats.empirical_bernstein`.

Guarantee
    The chance that S ever reaches the bound is at most ``alpha``.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021), section 3. Agrees with confseq 0.0.11.

>>> round(bound(100, 0.05, 100, 2), 5)
33.02017
"""

from __future__ import annotations

import math

from scipy.special import gammainc, gammaln

from triune.stats.mixture_bound import crossing, log_threshold
from triune.stats.normal_mixture import tuned_rho


def log_mixture(s: float, v: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> float:
    """ln M(s, v); -inf where it is too small for a float."""
    return _log_mixture(s, v, tuned_rho(v_opt, alpha_opt), c)


def bound(v: float, alpha: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> float:
    """The s at which ``M(s, v)`` reaches ``1/alpha``."""
    rho = tuned_rho(v_opt, alpha_opt)
    threshold = log_threshold(alpha)
    return crossing(lambda s: _log_mixture(s, v, rho, c), threshold, start=max(v, c))


def _log_mixture(s: float, v: float, rho: float, c: float) -> float:
    if not c > 0.0:
        raise ValueError(f"c must be above 0, not {c}")
    prior, a = rho / c**2, (v + rho) / c**2
    x = (c * s + v + rho) / c**2
    return (
        _log_gamma_below(a, x)
        - _log_gamma_below(prior, prior)
        + prior * math.log(prior)
        - a * math.log(x)
        + (x - prior)
    )


def _log_gamma_below(a: float, x: float) -> float:
    """ln of the lower incomplete gamma function, not regularised."""
    share = float(gammainc(a, x))
    return float(gammaln(a)) + math.log(share) if share > 0.0 else -math.inf
