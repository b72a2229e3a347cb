"""The polynomial stitched boundary: a closed form that grows with the iterated logarithm.

Definition
    With ``w = max(v, v_min)``::

        l = s ln ln(eta w / v_min) + ln(zeta(s) / (ln eta)^s) + ln(1/alpha)
        bound = sqrt(k1^2 w l + (k2 c l)^2) + k2 c l
        k1 = (eta^(1/4) + eta^(-1/4)) / sqrt 2,   k2 = (sqrt eta + 1) / 2

Parameters
    ``v`` intrinsic time, ``v_min`` where the bound begins to hold well (it is flat below), ``c``
    the scale of sub-gamma noise (0 for sub-Gaussian noise), ``s > 1`` how the error is spread over
    the epochs, ``eta > 1`` the epochs' ratio.

Assumptions
    S is sub-gamma with scale c: ``exp(lambda S - lambda^2 V / (2 (1 - c lambda)))`` is a
    supermartingale for ``0 <= lambda < 1 / max(c, 0)``. A negative ``c`` is allowed.

Guarantee
    The chance that S ever reaches the bound is at most ``alpha``. It is looser than a mixture near
    its tuned time, tighter in the very long run, and needs no root search.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021), theorem 1 and equation 10. Agrees with
    confseq 0.0.11.

>>> round(bound(100, 0.05, 10, -1), 5)
28.99389
"""

from __future__ import annotations

import math

from scipy.special import zeta

from triune.stats.mixture_bound import log_threshold


def bound(
    v: float, alpha: float, v_min: float, c: float = 0.0, *, s: float = 1.4, eta: float = 2.0
) -> float:
    """The stitched bound at ``v``. Raises ValueError for parameters out of their range."""
    if not (v_min > 0.0 and s > 1.0 and eta > 1.0):
        raise ValueError(f"need v_min > 0, s > 1, eta > 1, not {v_min}, {s}, {eta}")
    k1, k2 = factors(eta)
    time = max(v, v_min)
    spread = math.log(float(zeta(s)) / math.log(eta) ** s)
    level = s * math.log(math.log(eta * time / v_min)) + spread + log_threshold(alpha)
    heavy = k2 * c * level
    return math.sqrt(k1**2 * time * level + heavy**2) + heavy


def factors(eta: float) -> tuple[float, float]:
    """k1 and k2: what one straight line over an epoch of ratio ``eta`` costs.

    >>> [round(k, 4) for k in factors(2.0)]
    [1.4355, 1.2071]
    """
    return (eta**0.25 + eta**-0.25) / math.sqrt(2.0), (math.sqrt(eta) + 1.0) / 2.0
