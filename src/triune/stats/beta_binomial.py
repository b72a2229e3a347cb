"""The beta-binomial mixture boundary, for sums of terms with two values or a bounded range.

Definition
    A term lies between ``-g`` and ``h`` with mean 0; the extreme case has these two values only.
    Mixing the binomial likelihood ratio over a beta distribution gives, with
    ``B(a, b)`` the beta function (one-sided: the incomplete one up to ``h / (g + h)``)::

        ln M(s, v) = v/(g h) ln(g + h) - (v + h s)/(h (g + h)) ln g - (v - g s)/(g (g + h)) ln h
                     + ln B((r + v - g s)/(g (g + h)), (r + v + h s)/(h (g + h)))
                     - ln B(r/(g (g + h)), r/(h (g + h)))

    The bound is the s with ``M(s, v) = 1/alpha``. ``r = max(rho - g h, g h / 1000)`` with the
    normal mixture's ``rho``.

Parameters
    ``s`` the sum, ``v = n g h`` its intrinsic time, ``g`` and ``h`` above 0; ``v_opt`` and
    ``alpha_opt`` the point of tuning, fixed before the data.

Assumptions
    Given the past each term has mean 0 (one-sided: at most 0) and lies in [-g, h].

Guarantee
    The chance that S ever reaches the bound (two-sided: on either side, the lower bound being that
    with g and h exchanged) is at most ``alpha``.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021), section 3. Agrees with confseq 0.0.11.

>>> round(log_mixture(10, 100, 100, 0.2, 0.8, one_sided=False), 6)
-0.694101
"""

from __future__ import annotations

import math

from scipy.special import betainc, betaln

from triune.stats.mixture_bound import crossing, log_threshold
from triune.stats.normal_mixture import tuned_rho


def log_mixture(
    s: float,
    v: float,
    v_opt: float,
    g: float,
    h: float,
    *,
    alpha_opt: float = 0.05,
    one_sided: bool = True,
) -> float:
    """ln M(s, v). Raises ValueError unless ``g > 0`` and ``h > 0``.

    ``s`` must lie in the range ``[-v/h, v/g]`` that such terms can reach.
    """
    r = _tuned_r(v_opt, alpha_opt, (g, h), one_sided)
    return _log_mixture(s, v, r, (g, h), one_sided)


def bound(
    v: float,
    alpha: float,
    v_opt: float,
    g: float,
    h: float,
    *,
    alpha_opt: float = 0.05,
    one_sided: bool = True,
) -> float:
    """The s at which ``M(s, v)`` reaches ``1/alpha``, at most the largest possible, ``v/g``.

    >>> [round(bound(v, 0.05, 100, 0.2, 0.8), 2) for v in (100, 0.16)]
    [28.41, 0.8]
    """
    r = _tuned_r(v_opt, alpha_opt, (g, h), one_sided)
    return crossing(
        lambda s: _log_mixture(s, v, r, (g, h), one_sided),
        log_threshold(alpha),
        start=v,
        ceiling=v / g,
    )


def _tuned_r(v_opt: float, alpha_opt: float, ends: tuple[float, float], one_sided: bool) -> float:
    g, h = ends
    if not (g > 0.0 and h > 0.0):
        raise ValueError(f"g and h must be above 0, not {g} and {h}")
    rho = tuned_rho(v_opt, alpha_opt, one_sided=one_sided)
    return max(rho - g * h, 1e-3 * g * h)


def _log_mixture(s: float, v: float, r: float, ends: tuple[float, float], one_sided: bool) -> float:
    g, h = ends
    below, above = g * (g + h), h * (g + h)
    cut = h / (g + h) if one_sided else 1.0
    return (
        v / (g * h) * math.log(g + h)
        - (v + h * s) / above * math.log(g)
        - (v - g * s) / below * math.log(h)
        + _log_beta((r + v - g * s) / below, (r + v + h * s) / above, cut)
        - _log_beta(r / below, r / above, cut)
    )


def _log_beta(a: float, b: float, cut: float) -> float:
    whole = float(betaln(a, b))
    if cut >= 1.0:
        return whole
    share = float(betainc(a, b, cut))
    return whole + math.log(share) if share > 0.0 else -math.inf
