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


def p_value(a: ArrayLike, b: ArrayLike, q: float, t_opt: float, alpha_opt: float = 0.05) -> float:
    """The anytime-valid p-value of equal ``q`` quantiles, from all samples of both arms so far.

    1.0 while an arm has no samples. Raises ValueError unless ``0 < q < 1`` and ``t_opt > 0``.
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"q must lie between 0 and 1, not {q}")
    arms = [np.sort(np.asarray(arm, "float64"), axis=None) for arm in (a, b)]
    if not all(len(arm) for arm in arms):
        return 1.0
    points = np.concatenate(arms)
    r = _tuned_r(q, t_opt, alpha_opt)
    evidence = sum((_least_evidence(arm, points, q, r) for arm in arms), np.zeros(len(points)))
    return min(1.0, math.exp(-float(evidence.min())))


def _tuned_r(q: float, t_opt: float, alpha_opt: float) -> float:
    spread = q * (1.0 - q)
    return max(tuned_rho(t_opt * spread, alpha_opt, one_sided=False) - spread, 1e-3 * spread)


def _least_evidence(
    arm: NDArray[np.float64], points: NDArray[np.float64], q: float, r: float
) -> NDArray[np.float64]:
    """ln of the arm's mixture at each point, under the most favourable share there."""
    n = len(arm)
    best = minimize_scalar(
        lambda share: float(_log_mixture(np.asarray(share), n, q, r)),
        bounds=(0.0, 1.0),
        method="bounded",
        options={"xatol": 1e-9},
    )
    below = np.searchsorted(arm, points, side="left") / n
    up_to = np.searchsorted(arm, points, side="right") / n
    return _log_mixture(np.clip(float(best.x), below, up_to), n, q, r)


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
