"""A share of yes/no events, and whether two are equal, at any time while one keeps looking.

Definition
    For a share ``p`` the two-sided beta-binomial mixture with g = p, h = 1 - p
    (:mod:`triune.stats.beta_binomial`) measures the evidence against p. The interval holds every
    p whose evidence stays below ``1/alpha``. Two arms have equal shares: if both are p, the product
    of their mixtures is a martingale; the p-value is one over the smallest product over all p.

Parameters
    ``successes`` of ``n`` trials, ``alpha`` the error, ``t_opt`` the number of trials at which the
    interval is nearly as tight as possible, fixed before the data.

Assumptions
    Given the past each trial succeeds with the chance p: independent events of one chance. For
    retries, sessions and sick hosts count distinct units.

Guarantee
    The chance that the interval ever, at any number of trials, leaves the true share out is at
    most ``alpha``. No normal approximation: right from the first trial, and for rare events.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021); Robbins (1970). Agrees with confseq 0.0.11.

>>> [round(end, 4) for end in interval(700, 1000, 0.05, 100)]
[0.6516, 0.7459]
>>> interval(0, 0, 0.05)
(0.0, 1.0)
>>> round(equal((0, 10_000), (19, 10_000)), 6)
6.6e-05
"""

from __future__ import annotations

import math

from scipy.optimize import brentq, minimize_scalar

from triune.stats import beta_binomial
from triune.stats.mixture_bound import log_threshold

EDGE = 1e-13
"""How close to 0 and 1 a share is still tried."""

POINTS = 60
"""How many shares are tried before the best of them is refined."""


def interval(
    successes: float, n: float, alpha: float, t_opt: float = 1000.0, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """The interval of the share, within [0, 1].

    Raises ValueError unless ``0 <= successes <= n``, ``0 < alpha < 1`` and ``t_opt > 0``.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"impossible counts: {successes} of {n}")
    threshold = log_threshold(alpha)
    if n == 0:
        return 0.0, 1.0

    def excess(p: float) -> float:
        s, spread = successes - p * n, p * (1.0 - p)
        log_m = beta_binomial.log_mixture(
            s, spread * n, spread * t_opt, p, 1.0 - p, alpha_opt=alpha_opt, one_sided=False
        )
        return log_m - threshold

    share = min(max(successes / n, EDGE), 1.0 - EDGE)
    low = brentq(excess, EDGE, share, xtol=1e-14) if excess(EDGE) > 0.0 else 0.0
    high = brentq(excess, share, 1.0 - EDGE, xtol=1e-14) if excess(1.0 - EDGE) > 0.0 else 1.0
    return float(low), float(high)


def equal(
    a: tuple[float, float], b: tuple[float, float], t_opt: float = 1000.0, alpha_opt: float = 0.05
) -> float:
    """The anytime p-value of equal shares, from successes and trials of each arm.

    1.0 while an arm has no trials. Raises ValueError as :func:`interval`.
    """
    if any(not 0 <= successes <= n for successes, n in (a, b)):
        raise ValueError(f"impossible counts: {a} and {b}")
    if not (a[1] and b[1]):
        return 1.0

    def evidence(logit: float) -> float:
        p = 1.0 / (1.0 + math.exp(-logit))
        spread = p * (1.0 - p)
        return sum(
            beta_binomial.log_mixture(
                successes - p * n,
                spread * n,
                spread * t_opt,
                p,
                1.0 - p,
                alpha_opt=alpha_opt,
                one_sided=False,
            )
            for successes, n in (a, b)
        )

    low, high = (_logit(pick(a[0] / a[1], b[0] / b[1])) for pick in (min, max))
    # The smallest lies between the shares, or near them; first coarsely, as it may be flat.
    low, high = low - 1.0, high + 1.0
    points = [low + (high - low) * i / POINTS for i in range(POINTS + 1)]
    best = min(range(len(points)), key=lambda i: evidence(points[i]))
    ends = points[max(best - 1, 0)], points[min(best + 1, POINTS)]
    found = minimize_scalar(evidence, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return min(1.0, math.exp(-min(float(found.fun), evidence(points[best]))))


def _logit(share: float) -> float:
    inside = min(max(share, EDGE), 1.0 - EDGE)
    return math.log(inside / (1.0 - inside))
