"""A histogram of fixed bins, each one per cent wide: quantiles of a stream that forgets nothing.

Definition
    A value of magnitude ``m >= 1e-9`` lies in bin ``1 + floor(ln(m / 1e-9) / ln 1.01)``, with the
    value's sign; a smaller one in bin 0. Bins do not depend on the data, so histograms of
    different units add up, and a value that is removed leaves no trace.

Parameters
    Finite floats, e.g. one a unit.

Guarantee
    A quantile read from it lies in the bin of the true one, so it is off by at most one per cent
    of itself (or 1e-9). Both arms' are rounded alike.

Source
    Fixed log-spaced bins as in DDSketch (Masson, Rim and Lee 2019).

>>> bins = LogBins()
>>> for value in (0.0, 10.0, -3.0, 10.0):
...     bins.add(value)
>>> bins.n, sorted(bins.counts.values())
(4, [1, 1, 2])
>>> edges, counts = bins.table()
>>> bool(edges[-2] <= 10.0 < edges[-1]), counts.tolist()
(True, [1, 0, 1, 0, 2, 0])
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-9
"""Values nearer to 0 share one bin with it."""

LOG_SMALLEST, WIDTH = math.log(SMALLEST), math.log(1.01)

LARGEST = math.log(sys.float_info.max)


class LogBins:
    """Counts by bin. Changes in place."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    @property
    def n(self) -> int:
        """Values in all bins."""
        return sum(self.counts.values())

    def add(self, value: float, times: int = 1) -> None:
        """One more value; ``times`` -1 removes one. Raises ValueError when it is not finite, or
        when more would be removed than there are."""
        place = bin_of(value)
        left = self.counts.get(place, 0) + times
        if left < 0:
            raise ValueError(f"{value} was never added")
        if left:
            self.counts[place] = left
        else:
            self.counts.pop(place, None)

    def replace(self, old: float, new: float) -> None:
        """A value is another one now. Raises ValueError, with nothing changed, as :meth:`add`."""
        bin_of(new)
        self.add(old, -1)
        self.add(new)

    def merge(self, other: LogBins) -> None:
        """The values of another as well."""
        for place, count in other.counts.items():
            self.counts[place] = self.counts.get(place, 0) + count

    def table(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Rising lower edges and their counts; every filled bin is followed by its upper edge,
        with the count 0 unless the next bin is filled too."""
        places = sorted({*self.counts, *(place + 1 for place in self.counts)})
        edges = np.array([edge_of(place) for place in places])
        return edges, np.array([self.counts.get(place, 0) for place in places], dtype="int64")

    def at_rank(self, rank: float) -> float:
        """The value at a rank, counted from 1: the middle of its bin; nan without values.

        >>> one = LogBins({bin_of(10.0): 3})
        >>> round(one.at_rank(2.0), 1)
        10.0
        """
        seen = 0
        for place in sorted(self.counts):
            seen += self.counts[place]
            if seen >= rank - 1e-9:
                break
        else:
            if not self.counts:
                return math.nan
        return (edge_of(place) + edge_of(place + 1)) / 2.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogBins) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]


def bin_of(value: float) -> int:
    """The bin of a value. Raises ValueError when it is not finite.

    >>> bin_of(0.0), bin_of(1.0), bin_of(-1.0)
    (0, 2083, -2083)
    """
    if not math.isfinite(value):
        raise ValueError(f"values must be finite, not {value}")
    size = abs(value)
    if size < SMALLEST:
        return 0
    place = 1 + math.floor((math.log(size) - LOG_SMALLEST) / WIDTH)
    return place if value > 0.0 else -place


def edge_of(place: int) -> float:
    """A bin's lower edge: the smallest value in it.

    >>> edge_of(bin_of(5.0)) <= 5.0 < edge_of(bin_of(5.0) + 1)
    True
    """
    size = LOG_SMALLEST + (place - 1 if place > 0 else -place) * WIDTH
    edge = math.exp(size) if size < LARGEST else math.inf
    return edge if place > 0 else -edge
