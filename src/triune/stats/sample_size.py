"""How many units an A/B test of two shares needs.

Definition
    With ``s`` the candidate's share of the units and ``d = p1 - p0``, the z test at one look
    needs::

        n = (z_a sqrt(p (1-p) / (s (1-s))) + z_b sqrt(p0 (1-p0)/(1-s) + p1 (1-p1)/s))^2 / d^2

    units in both arms together, with p the pooled share, ``z_a`` and ``z_b`` the normal points of
    ``alpha / 2`` and of the power. The sequential test (:mod:`triune.stats.sequential_effect`),
    tuned to that n, has instead of ``z_a`` the radius of its interval in standard errors, about 3
    at alpha 0.05.

Parameters
    ``p0`` control's share, ``p1`` the candidate's that should be seen; ``alpha``, ``power`` and
    ``share``.

Assumptions
    Independent units; a normal approximation. The sequential figure is for the last look at the
    planned n; most such tests end earlier.

Guarantee
    The test finds the difference in a share of ``power`` of all tests, approximately.

Source
    Fleiss, Levin and Paik (2003), section 4.

>>> units(0.10, 0.11), units(0.10, 0.11, sequential=True)
(29502, 56494)
"""

from __future__ import annotations

import math

from scipy.stats import norm

from triune.stats.asymptotic import radius, tuning
from triune.stats.mixture_bound import log_threshold


def units(
    p0: float,
    p1: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    share: float = 0.5,
    sequential: bool = False,
) -> int:
    """Units in both arms together. Raises ValueError for equal or impossible shares."""
    log_threshold(alpha)
    if not (0.0 <= p0 <= 1.0 and 0.0 <= p1 <= 1.0 and p0 != p1):
        raise ValueError(f"p0 and p1 must differ and lie in [0, 1], not {p0} and {p1}")
    if not (0.0 < power < 1.0 and 0.0 < share < 1.0):
        raise ValueError(f"power and share must lie between 0 and 1, not {power} and {share}")
    pooled = p0 * (1.0 - share) + p1 * share
    apart = math.sqrt(p0 * (1.0 - p0) / (1.0 - share) + p1 * (1.0 - p1) / share)
    same = math.sqrt(pooled * (1.0 - pooled) / (share * (1.0 - share)))
    # Tuned to n itself, the sequential radius is the same number of standard errors at every n.
    reach = radius(1.0, alpha, tuning(alpha, 1.0)) if sequential else float(norm.isf(alpha / 2.0))
    needed = reach * same + float(norm.ppf(power)) * apart
    return math.ceil((needed / (p1 - p0)) ** 2)
