"""Latency as events: how many requests of each arm lie above the pooled quantile.

Definition
    Per tick, both arms' histograms over the same bins are merged; the threshold is the bin edge
    nearest the pooled quantile; ``k`` requests lie above it, ``b`` of them the candidate's. The
    counts feed the kernel (:mod:`triune.stats.harm`) like errors, with margin 0 there: the
    tolerance belongs to the values. A candidate's value v is first moved down to
    ``min(v / (1 + margin), v - floor)``. Bins are moved whole, by their lower edge, so a
    candidate's bin counts as above x only when all of it does after the move.

Guarantee
    If the candidate's moved and binned values have stable's distribution, ``b`` given the margins
    is exactly hypergeometric, for any distribution, with ties and coarse bins: given all values of
    both arms together, every split among the arms is equally likely, and the threshold depends
    on all values together only. If the candidate is faster in the likelihood ratio order, ``b``
    is stochastically smaller still. If it is faster in the plain stochastic order with densities
    that cross several times, choosing the threshold from the tick itself may favour one side by a
    little; a ``threshold`` fixed before the tick (say, from the ticks before) keeps the guarantee
    there too.

Source
    The control median test (Mood 1950; Gastwirth 1968), per tick and for any quantile.

>>> edges = [10.0, 20.0, 30.0, 40.0]
>>> tail_counts(edges, [50, 30, 5, 5], [6, 2, 1, 1], 0.9)
Tail(threshold=30.0, n_a=90, n_b=10, a=10, b=2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triune.stats.tick_ratio import Counts


class Tail(NamedTuple):
    """A threshold, requests of stable and candidate, and how many of each reach it."""

    threshold: float
    n_a: int
    n_b: int
    a: int
    b: int

    @property
    def counts(self) -> Counts:
        """The row that :func:`triune.stats.harm.step` takes."""
        return self.n_a, self.n_b, self.a, self.b


def tail_counts(
    edges: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    quantile: float,
    *,
    margin: float = 0.0,
    floor: float = 0.0,
    threshold: float | None = None,
) -> Tail:
    """Requests of each arm at or above the pooled quantile, in one tick and stratum.

    Parameters
    ----------
    edges: rising lower edges of the bins, in any spacing; the last bin is open above, and its edge
        may be infinite: values above all others, of which no margin and no floor takes anything
    a, b: requests of stable and candidate in each bin
    quantile: between 0 and 1, e.g. 0.99
    margin, floor: how much slower is tolerated: as a share, and in the edges' unit; the larger
        of both counts
    threshold: a lower edge fixed before the tick, instead of the pooled quantile

    The threshold is such that some but not all requests reach it, where there is such an edge; of
    two equally near the higher is taken.
    """
    if threshold is None:
        return all_tail_counts(edges, a, b, (quantile,), margin=margin, floor=floor)[0]
    edge = np.asarray(edges, "float64")
    tops_a, tops_b = _from_the_top(edge, np.asarray(a), np.asarray(b), margin, floor)
    bins = len(edge) - int(np.searchsorted(edge, threshold, side="left"))
    above = (int(tops_a[bins - 1]), int(tops_b[bins - 1])) if bins else (0, 0)
    return Tail(float(threshold), int(tops_a[-1]), int(tops_b[-1]), *above)


def all_tail_counts(
    edges: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    quantiles: Sequence[float],
    *,
    margin: float = 0.0,
    floor: float = 0.0,
) -> tuple[Tail, ...]:
    """:func:`tail_counts` at several quantiles, for little more than the cost of one.

    >>> [tail.b for tail in all_tail_counts([1.0, 2.0, 3.0], [9, 1, 0], [1, 4, 5], (0.5, 0.7))]
    [9, 5]
    """
    edge = np.asarray(edges, "float64")
    tops_a, tops_b = _from_the_top(edge, np.asarray(a), np.asarray(b), margin, floor)
    tops = tops_a + tops_b
    n_a, n_b = int(tops_a[-1]), int(tops_b[-1])
    cuts = [int(_cut(tops, quantile)) for quantile in quantiles]
    return tuple(
        Tail(float(edge[-1 - cut]), n_a, n_b, int(tops_a[cut]), int(tops_b[cut])) for cut in cuts
    )


def batch_tail_counts(
    edges: ArrayLike,
    a: NDArray[np.integer],
    b: NDArray[np.integer],
    quantiles: Sequence[float],
    *,
    margin: float = 0.0,
    floor: float = 0.0,
) -> NDArray[np.int64]:
    """:func:`all_tail_counts` of many runs at once.

    ``a`` and ``b``: (runs, bins). Returns (runs, quantiles, 4): rows ``(n_a, n_b, a, b)``.
    """
    tops_a, tops_b = _from_the_top(np.asarray(edges, "float64"), a, b, margin, floor)
    tops, runs = tops_a + tops_b, np.arange(len(a))
    counts = np.empty((len(a), len(quantiles), 4), dtype=np.int64)
    for at, quantile in enumerate(quantiles):
        cut = _cut(tops, quantile)
        parts = tops_a[:, -1], tops_b[:, -1], tops_a[runs, cut], tops_b[runs, cut]
        counts[:, at] = np.stack(parts, axis=-1)
    return counts


def quantile_of(edges: ArrayLike, counts: ArrayLike, quantile: float) -> float:
    """The lower edge of the bin in which the quantile lies; nan without counts.

    >>> quantile_of([10.0, 20.0, 30.0], [5, 4, 1], 0.9), quantile_of([10.0], [0], 0.5)
    (20.0, nan)
    """
    below = np.cumsum(np.asarray(counts))
    if not len(below) or below[-1] == 0:
        return float("nan")
    at = int(np.searchsorted(below, max(quantile * below[-1], 1e-9), side="left"))
    return float(np.asarray(edges, "float64")[at])


def _from_the_top(
    edge: NDArray[np.float64],
    a: NDArray[np.integer],
    b: NDArray[np.integer],
    margin: float,
    floor: float,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Requests of each arm at or above the highest edge, the second highest, ... the lowest.

    The last axis holds the bins. A candidate's bin counts once its moved lower edge does.
    """
    if margin < 0.0 or floor < 0.0:
        raise ValueError(f"margin and floor must be at least 0, not {margin} and {floor}")
    tops_a, tops_b = a[..., ::-1].cumsum(axis=-1), b[..., ::-1].cumsum(axis=-1)
    if margin == 0.0 and floor == 0.0:
        return tops_a, tops_b
    moved = np.minimum(edge / (1.0 + margin), edge - floor)
    bins = len(edge) - moved.searchsorted(edge)[::-1]
    bins[-1] = len(edge)
    tops_b = np.where(bins > 0, tops_b[..., bins - 1], 0)
    return tops_a, tops_b


def _cut(tops: NDArray[np.integer], quantile: float) -> NDArray[np.integer]:
    """Where the pooled count is nearest the wanted one but neither 0 nor everything."""
    total = tops[..., -1:]
    distance = np.abs(tops - (1.0 - quantile) * total)
    distance += total * ((tops == 0) | (tops == total))
    cut: NDArray[np.integer] = distance.argmin(axis=-1)
    return cut
