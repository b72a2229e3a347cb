"""How much more than independent events the counts scatter, and the tempering that answers it.

Definition
    Stable alone, before the candidate came, split in two by instance. In tick t, ``k`` events
    fell on both parts together and ``k1`` on the first, which served the share ``r`` of the
    requests. Independent events give ``k1`` the mean ``r k`` and the variance ``k r (1-r)``;
    ``phi`` is the mean over the ticks of ``(k1 - r k)^2 / (k r (1-r))``, at least 1.
    With ``n``, the requests of the tick, the variance is the exact hypergeometric one,
    smaller by ``(n-k)/(n-1)``: needed when events are common, as requests above the median are.

Use
    ``eta(phi) = 1 / (1 + 2 (phi - 1))`` tempers every likelihood ratio. For events that come in
    clusters of a fixed size c, phi is c, and any ``eta <= 1/c`` keeps the guarantee exactly
    (``x^(eta c)`` is concave); eta stays below that as a reserve for clusters of unequal size and
    for the error of the estimate. Beyond that the guarantee is approximate: show it so.

Source
    The Pearson estimate of a quasi-likelihood's dispersion (McCullagh and Nelder 1989, 4.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Dispersion(NamedTuple):
    """``phi`` and the number of ticks it rests on; 1.0 and 0 when no tick says anything."""

    phi: float
    ticks: int


def phi(k1: ArrayLike, k: ArrayLike, r: ArrayLike, n: ArrayLike | None = None) -> Dispersion:
    """Estimate the overdispersion from the stable arm's ticks before the candidate.

    Parameters
    ----------
    k1: events in the first part, one number a tick; several instances, each against all the
        others, may be strung together
    k: events in both parts
    r: share of the requests that the first part served; one number or one a tick
    n: requests in both parts, or None when events are rare

    Ticks in which nothing can scatter (no event, or one part without requests) are skipped.

    >>> phi([1, 2, 0, 1], [2, 2, 2, 2], 0.5)
    Dispersion(phi=1.0, ticks=4)
    >>> phi([6, 0, 6, 0], [6, 6, 6, 6], 0.5)
    Dispersion(phi=6.0, ticks=4)
    >>> phi([0, 0], [0, 0], 0.5)
    Dispersion(phi=1.0, ticks=0)
    """
    first, both, share = np.broadcast_arrays(
        np.asarray(k1, "float64"), np.asarray(k, "float64"), np.asarray(r, "float64")
    )
    variance = both * share * (1.0 - share)
    if n is not None:
        requests = np.broadcast_to(np.asarray(n, "float64"), both.shape)
        variance = variance * (requests - both) / np.maximum(requests - 1.0, 1.0)
    used = variance > 0.0
    if not used.any():
        return Dispersion(1.0, 0)
    scatter = (first[used] - share[used] * both[used]) ** 2 / variance[used]
    return Dispersion(max(1.0, float(scatter.mean())), int(used.sum()))


def eta(phi: float) -> float:
    """The power that tempers a likelihood ratio: ``1 / (1 + 2 (phi - 1))``.

    >>> eta(1.0), eta(3.0)
    (1.0, 0.2)
    """
    return 1.0 / (1.0 + 2.0 * (phi - 1.0))
