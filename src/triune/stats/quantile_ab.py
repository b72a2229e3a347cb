"""Do two arms have the same quantile? A p-value that may be looked at any time.

Definition
    If both arms' ``q`` quantile is x, the samples at or below x are, in each arm, a sum of events
    of chance ``q``; two beta-binomial mixtures (:mod:`triune.stats.beta_binomial`) measure the
    evidence against that, and their product is a martingale for the right x. The p-value is one
    over the smallest product over all x. At an x between two samples, or on one, any share
    between that below x and that at or below x may be meant; the most favourable is taken.

Parameters
    ``q`` the quantile, ``t_opt`` the samples an arm has when the test is to be sharpest, fixed
    before the data.

Assumptions
    Independent samples within and between the arms, of any distribution. The arms need not have
    the same size nor grow in step.

Guarantee
    While the quantiles are equal, the chance that the p-value ever falls to ``alpha`` is at most
    ``alpha``.

Source
    Howard and Ramdas (2022), section on A/B testing. Agrees with confseq 0.0.11.

>>> import numpy as np
>>> round(p_value(np.arange(1, 1001), np.arange(56, 1056), 0.9, 100), 5)
0.03405
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betaln

from triune.stats.normal_mixture import tuned_rho

Counts = NDArray[np.int64]


def p_value(a: ArrayLike, b: ArrayLike, q: float, t_opt: float, alpha_opt: float = 0.05) -> float:
    """The anytime-valid p-value of equal ``q`` quantiles, from all samples of both arms so far.

    1.0 while an arm has no samples. Raises ValueError unless ``0 < q < 1`` and ``t_opt > 0``.
    """
    _check(q)
    arms = [np.sort(np.asarray(arm, "float64"), axis=None) for arm in (a, b)]
    points = np.concatenate(arms)
    sides = [
        (
            len(arm),
            np.searchsorted(arm, points, side="left"),
            np.searchsorted(arm, points, side="right"),
        )
        for arm in arms
    ]
    return _p_value(sides, q, _tuned_r(q, t_opt, alpha_opt))


def p_value_of_counts(
    a: ArrayLike, b: ArrayLike, q: float, t_opt: float, alpha_opt: float = 0.05
) -> float:
    """The same from how often each arm has each of the same rising values, e.g. bins.

    >>> p_value_of_counts([1, 1, 0, 1], [0, 0, 2, 1], 0.5, 100) == p_value(
    ...     [1, 2, 4], [3, 3, 4], 0.5, 100
    ... )
    True
    """
    _check(q)
    arms = [np.asarray(arm, "int64") for arm in (a, b)]
    if len(arms[0]) != len(arms[1]):
        raise ValueError(f"{len(arms[0])} counts do not match {len(arms[1])}")
    up_to = [np.cumsum(arm) for arm in arms]
    return _p_value(
        [(int(arm.sum()), end - arm, end) for arm, end in zip(arms, up_to, strict=True)],
        q,
        _tuned_r(q, t_opt, alpha_opt),
    )


def _check(q: float) -> None:
    if not 0.0 < q < 1.0:
        raise ValueError(f"q must lie between 0 and 1, not {q}")


def _p_value(arms: list[tuple[int, Counts, Counts]], q: float, r: float) -> float:
    """From each arm's size, and its samples below, and up to, each value that occurs."""
    if not all(n for n, _, _ in arms):
        return 1.0
    evidence = sum(
        (_least_evidence(n, below, up_to, q, r) for n, below, up_to in arms), np.zeros(1)
    )
    return min(1.0, math.exp(-float(evidence.min())))


def _tuned_r(q: float, t_opt: float, alpha_opt: float) -> float:
    spread = q * (1.0 - q)
    return max(tuned_rho(t_opt * spread, alpha_opt, one_sided=False) - spread, 1e-3 * spread)


def _least_evidence(
    n: int, below: Counts, up_to: Counts, q: float, r: float
) -> NDArray[np.float64]:
    """ln of the arm's mixture at each point, under the most favourable share there."""
    best = minimize_scalar(
        lambda share: float(_log_mixture(np.asarray(share), n, q, r)),
        bounds=(0.0, 1.0),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return _log_mixture(np.clip(float(best.x), below / n, up_to / n), n, q, r)


def _log_mixture(share: NDArray[np.float64], n: int, q: float, r: float) -> NDArray[np.float64]:
    """The two-sided beta-binomial mixture with g = q and h = 1 - q, for an array of shares."""
    below, above = n * (1.0 - share), n * share
    result: NDArray[np.float64] = (
        betaln(r / q + below, r / (1.0 - q) + above)
        - betaln(r / q, r / (1.0 - q))
        - above * math.log(q)
        - below * math.log(1.0 - q)
    )
    return result
