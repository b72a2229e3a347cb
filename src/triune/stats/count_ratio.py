"""Do two arms see events at the same rate? One test of the total counts, valid at any time.

Definition
    Stable has ``a`` events, the candidate ``b``; the candidate serves the share ``rho`` of the
    traffic. With equal rates every event is the candidate's with the chance rho. Against a beta
    prior of parameters ``k rho`` and ``k (1 - rho)``::

        ln BF = ln B(k rho + b, k (1 - rho) + a) - ln B(k rho, k (1 - rho))
                - b ln rho - a ln(1 - rho)

    A log rate ratio d changes the chance to ``rho e^d / (1 - rho + rho e^d)``; the interval holds
    every d whose Bayes factor stays below ``1/alpha``.

Parameters
    ``a``, ``b`` events so far, ``rho`` the candidate's share, ``k`` the prior's strength: the
    larger, the smaller the differences looked for.

Assumptions
    Events are independent and rho is the true share of the traffic at all times. When the share is
    ramped, or events come in clusters, use :mod:`triune.stats.harm`.

Guarantee
    While the rates are equal, the chance that ``BF`` ever reaches ``1/alpha`` is at most ``alpha``;
    the interval holds the true ratio at all times with a chance of at least ``1 - alpha``.

Source
    Lindon and Malek (2022), "Anytime-valid inference for multinomial count data": the
    inhomogeneous Poisson process. Agrees with savvi 0.3.1, whose p-value is :attr:`inverse_odds`,
    not cut off at 1 and not the smallest so far.

>>> found = compare(360, 70, 0.1, 0.05)
>>> round(found.log_odds, 4), round(found.inverse_odds, 5)
(5.6998, 0.00335)
>>> [round(end, 3) for end in (found.low, found.high)]
[0.109, 0.969]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import betaln, xlogy

from triune.stats.mixture_bound import log_threshold

WIDEST = 700.0
"""Log rate ratios beyond this are taken for infinite."""


@dataclass(frozen=True, slots=True)
class CountRatio:
    """What the counts so far say about ln(candidate's rate / stable's rate).

    ``estimate`` is nan without events, and infinite while only one arm has any.
    """

    log_odds: float
    estimate: float
    low: float
    high: float

    @property
    def inverse_odds(self) -> float:
        """One over the Bayes factor; above 1 while the counts speak for equal rates."""
        return math.exp(min(-self.log_odds, WIDEST))

    @property
    def p(self) -> float:
        """The p-value of this look. Over several looks the smallest one is valid."""
        return min(1.0, self.inverse_odds)


def log_bayes_factor(a: int, b: int, rho: float, k: float = 100.0) -> float:
    """ln of the evidence for unequal rates. Raises ValueError unless ``0 < rho < 1``, ``k > 0``.

    >>> round(log_bayes_factor(90, 10, 0.1, k=10), 6)
    -1.273276
    """
    _check(a, b, rho, k)
    return _log_mixed(a, b, rho, k) - float(xlogy(b, rho) + xlogy(a, 1.0 - rho))


def compare(a: int, b: int, rho: float, alpha: float, k: float = 100.0) -> CountRatio:
    """Evidence, estimate and interval of the log rate ratio, candidate against stable."""
    _check(a, b, rho, k)
    mixed, threshold = _log_mixed(a, b, rho, k), log_threshold(alpha)

    def excess(d: float) -> float:
        # ln of the chances of candidate and stable at log rate ratio d, without overflow.
        log_total = _log_add(math.log1p(-rho), math.log(rho) + d)
        log_b, log_a = math.log(rho) + d - log_total, math.log1p(-rho) - log_total
        return mixed - b * log_b - a * log_a - threshold

    if a + b == 0:
        return CountRatio(0.0, math.nan, -math.inf, math.inf)
    odds = math.log((1.0 - rho) / rho)
    estimate = math.log(b / a) + odds if a and b else math.inf if b else -math.inf
    start = min(max(estimate, -WIDEST), WIDEST)
    low = brentq(excess, -WIDEST, start) if b and excess(-WIDEST) > 0.0 else -math.inf
    high = brentq(excess, start, WIDEST) if a and excess(WIDEST) > 0.0 else math.inf
    return CountRatio(log_bayes_factor(a, b, rho, k), estimate, float(low), float(high))


def _check(a: int, b: int, rho: float, k: float) -> None:
    if not (0.0 < rho < 1.0 and k > 0.0 and a >= 0 and b >= 0):
        raise ValueError(f"need 0 < rho < 1, k > 0, counts of at least 0: {rho}, {k}, {a}, {b}")


def _log_mixed(a: int, b: int, rho: float, k: float) -> float:
    prior = float(betaln(k * rho, k * (1.0 - rho)))
    return float(betaln(k * rho + b, k * (1.0 - rho) + a)) - prior


def _log_add(x: float, y: float) -> float:
    return max(x, y) + math.log1p(math.exp(-abs(x - y)))
