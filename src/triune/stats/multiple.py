"""Several p-values judged together, so that looking at many metrics finds nothing by chance.

Definition
    Holm: with p-values in rising order, the i-th of m is multiplied by ``m - i + 1``; the adjusted
    values never fall and are at most 1. Benjamini-Hochberg: the i-th is multiplied by ``m / i``;
    the adjusted values never exceed those of larger p.

Assumptions
    Holm: none. Benjamini-Hochberg: the p-values are independent or positively dependent.

Guarantee
    Calling the adjusted values below ``alpha`` discoveries: Holm, the chance of any false one is
    at most ``alpha``; Benjamini-Hochberg, the expected share of false ones is at most ``alpha``.
    With anytime-valid p-values Holm's holds at any time.

Source
    Holm (1979); Benjamini and Hochberg (1995), by ``scipy.stats.false_discovery_control``.

>>> [round(p, 4) for p in holm([0.01, 0.04, 0.03, 0.005])]
[0.03, 0.06, 0.06, 0.02]
>>> [round(p, 4) for p in benjamini_hochberg([0.01, 0.04, 0.03, 0.005])]
[0.02, 0.04, 0.04, 0.02]
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import false_discovery_control


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given. Raises ValueError outside [0, 1]."""
    _check(ps)
    adjusted, largest = [0.0] * len(ps), 0.0
    for done, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, ps[i] * (len(ps) - done)))
        adjusted[i] = largest
    return adjusted


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values, in the order given."""
    _check(ps)
    return [float(p) for p in false_discovery_control(ps)] if ps else []


def _check(ps: Sequence[float]) -> None:
    if any(not 0.0 <= p <= 1.0 for p in ps):
        raise ValueError(f"p-values must lie in [0, 1], not {list(ps)}")
