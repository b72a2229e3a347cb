"""The likelihood ratio of one tick: how much one tick's counts speak for a higher odds ratio.

Definition
    In one tick and one stratum stable serves ``n_a`` requests with ``a`` events, the candidate
    ``n_b`` with ``b``; ``k = a + b``. Given ``n_a``, ``n_b`` and ``k``, ``b`` has Fisher's
    noncentral hypergeometric distribution with the odds ratio between the arms; neither the
    traffic share nor the common event rate matters any more. ``b`` lies between
    ``low = max(0, k - n_a)`` and ``min(k, n_b)``; call the width ``trials`` and
    ``share = (n_b k / (n_a + n_b) - low) / trials``, so that without harm
    ``b - low`` has the mean ``trials * share``. The ratio for the odds ratio ``e^d`` against the
    tolerated ``e^d0`` is that of two binomials of this width::

        ln LR = (b - low)(d - d0)
                - trials * [ ln(1 + share (e^d - 1)) - ln(1 + share (e^d0 - 1)) ]

Guarantee
    For ``d > d0 >= 0``: E[LR | n_a, n_b, k] <= 1 whenever the true odds ratio is at most
    ``e^d0``. Why:

    1. ``b - low`` is a sum of ``trials`` independent Bernoulli variables of unequal chances
       (Vatutin and Mikhailov 1982: the generating function has only real roots, and so it has
       after tilting by an odds ratio). Such a sum lies below the binomial of the same mean in
       convex order (Hoeffding 1956), so its variance is at most ``m (1 - m / trials)`` at mean m.
    2. Let m(d) be the mean of ``b - low`` at odds ratio ``e^d``. Then m'(d) is the variance, at
       most ``m (1 - m / trials)``; the binomial's mean solves this with equality from the same
       start, m(0) = trials * share. Hence for d0 >= 0 the true mean is at most the binomial's.
    3. ``e^{(d - d0) x}`` is convex and rises, so its mean at ``e^d0`` is at most the binomial's,
       which is the denominator. A smaller true odds ratio makes ``b`` stochastically smaller.

    For a ratio that falls in ``b`` (``d < d0``) step 2 points the wrong way:
    :mod:`triune.stats.noharm` uses the exact distribution there.

Source
    Hoeffding (1956, 1963). The common form takes ``k`` trials of chance ``n_b / (n_a + n_b)``:
    the same thing as long as ``k <= min(n_a, n_b)``. Using the true width is never weaker, and for
    the median of the latency at 10 % traffic, where ``k`` is five times ``n_b``, it doubles the
    evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Counts = tuple[int, int, int, int]
"""One stratum's counts in one tick: requests of stable and candidate, events of both."""


def envelope(n_a: Any, n_b: Any, k: Any) -> tuple[Any, Any, Any]:
    """``low``, ``trials`` and ``share`` of the binomial that covers ``b``, see above.

    Takes integers or integer arrays of one shape. ``trials`` is 0 when the tick says nothing:
    an arm without requests, or events in none or all of the requests.

    >>> envelope(900, 100, 5)
    (0, 5, 0.1)
    >>> envelope(900, 100, 500)
    (0, 100, 0.5)
    >>> envelope(900, 0, 5)[1]
    0
    """
    low = (k - n_a) * (k > n_a)
    trials = k - (k - n_b) * (k > n_b) - low
    total = n_a + n_b
    mean = n_b * k / (total + (total == 0)) - low
    return low, trials, mean / (trials + (trials == 0))


def log_ratios(
    excess: Any,
    trials: Any,
    share: Any,
    alternatives: Sequence[tuple[float, float]],
    margin: float,
    *,
    log1p: Callable[[Any], Any] = math.log1p,
) -> list[Any]:
    """ln LR of one tick and stratum under each alternative.

    Numbers, or arrays of one shape when ``log1p`` is numpy's.

    Parameters
    ----------
    excess: ``b - low``
    alternatives: for each ``d - d0`` and ``e^d - 1``; :func:`alternative` makes them
    margin: ``e^d0 - 1``, the tolerated rise

    >>> low, trials, share = envelope(900, 100, 5)
    >>> [round(log, 4) for log in log_ratios(5 - low, trials, share, [alternative(2.0)], 0.0)]
    [2.9892]
    """
    base = log1p(share * margin)
    return [excess * shift - trials * (log1p(share * rise) - base) for shift, rise in alternatives]


def alternative(odds: float, margin: float = 0.0) -> tuple[float, float]:
    """What :func:`log_ratios` needs of the odds ratio ``odds`` against ``1 + margin``."""
    return math.log(odds / (1.0 + margin)), odds - 1.0
