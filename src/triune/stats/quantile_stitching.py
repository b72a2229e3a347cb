"""A bound that holds for all quantiles and all times at once, tighter in the tails.

Definition
    For the quantile ``p`` after ``t`` samples, with ``w = max(t, t_opt)``::

        r = p for p >= 1/2, else min(1/2, expit(logit p + 2 delta sqrt(t_opt eta / w)))
        sigma^2 = r (1 - r),   j = sqrt(w / t_opt) |logit p| / (2 delta) + 1
        l = s ln ln(eta w / t_opt) + s ln j + ln(2 zeta(s) (2 zeta(s) + 1) / (alpha (ln eta)^s))
        bound = delta sqrt(eta w sigma^2 / t_opt) + sqrt(k1^2 sigma^2 w l + h^2) + h
        h = k2 l (1 - 2 p) / 3,   k1 and k2 as in triune.stats.stitching

    The number of samples at or below the true quantile exceeds ``p t`` by less than the bound at
    ``p``, and falls short of it by less than the bound at ``1 - p``.

Parameters
    ``p`` the quantile, ``t`` samples so far, ``t_opt`` near which the bound is tight; ``delta``,
    ``s`` and ``eta`` how errors are spread over quantiles and epochs.

Assumptions
    Independent samples of one distribution, of any kind.

Guarantee
    Both sides, all p in (0, 1) and all t together fail with a chance of at most ``alpha``. For one
    quantile fixed beforehand :mod:`triune.stats.quantile_interval` is tighter.

Source
    Howard and Ramdas (2022), double stitching. Agrees with confseq 0.0.11.

>>> round(bound(0.5, 1000, 0.05, 100), 4)
68.628
"""

from __future__ import annotations

import math

from scipy.special import expit, logit, zeta

from triune.stats.mixture_bound import log_threshold
from triune.stats.stitching import factors


def bound(
    p: float,
    t: float,
    alpha: float,
    t_opt: float,
    *,
    delta: float = 0.5,
    s: float = 1.4,
    eta: float = 2.0,
) -> float:
    """By how many samples the count at or below the ``p`` quantile may exceed ``p t``."""
    if not (0.0 < p < 1.0 and t_opt >= 1.0 and delta > 0.0 and s > 1.0 and eta > 1.0):
        raise ValueError("need 0 < p < 1, t_opt >= 1, delta > 0, s > 1 and eta > 1")
    time = max(t, t_opt)
    distance = float(logit(p))
    r = p
    if p < 0.5:
        r = min(0.5, float(expit(distance + 2.0 * delta * math.sqrt(t_opt * eta / time))))
    variance = r * (1.0 - r)
    j = math.sqrt(time / t_opt) * abs(distance) / (2.0 * delta) + 1.0
    z = float(zeta(s))
    spread = math.log(2.0 * z * (2.0 * z + 1.0) / math.log(eta) ** s) + log_threshold(alpha)
    level = s * (math.log(math.log(eta * time / t_opt)) + math.log(j)) + spread
    k1, k2 = factors(eta)
    skew = k2 * level * (1.0 - 2.0 * p) / 3.0
    step = delta * math.sqrt(eta * time * variance / t_opt)
    return step + math.sqrt(k1**2 * variance * time * level + skew**2) + skew
