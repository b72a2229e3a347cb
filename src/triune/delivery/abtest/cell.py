"""What is kept of a metric in a variant (and segment): enough to analyse, of constant size.

A unit contributes one row, `Metric.row`, which late outcomes replace. Sums are exact
(`triune.stats.exact_moments`), so that a stream of additions and replacements ends, to the last
bit, where a computation from all units at once does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triune.delivery.abtest.model import Kind, Metric
from triune.stats.exact_moments import ExactMoments
from triune.stats.log_bins import LogBins
from triune.stats.summary import Summary


@dataclass(frozen=True, slots=True, order=True)
class CellKey:
    """Which metric, which variant, and of which units; the segment is empty for all of them."""

    metric: str
    variant: str
    segment: str = ""


class Cell:
    """The units of a metric in a variant. Changes in place, in constant time.

    A quantile metric keeps a histogram of the units' values beside their sums.

    >>> metric = Metric("minutes", Kind.MEAN)
    >>> cell = Cell.of(metric, [metric.row(1.0), metric.row(2.0)])
    >>> cell.replace(metric.row(2.0), metric.row(4.0))
    >>> cell.n, float(cell.summary().mean[0])
    (2, 2.5)
    """

    __slots__ = ("bins", "moments")

    def __init__(self, metric: Metric) -> None:
        self.moments = ExactMoments(metric.columns)
        self.bins = LogBins() if metric.kind is Kind.QUANTILE else None

    @classmethod
    def of(cls, metric: Metric, rows: Iterable[Sequence[float]]) -> Cell:
        """A cell with the rows of all its units."""
        cell = cls(metric)
        for row in rows:
            cell.add(row)
        return cell

    @property
    def n(self) -> int:
        """Units."""
        return self.moments.n

    def add(self, row: Sequence[float]) -> None:
        """One more unit. Raises ValueError for a row of another length, or a value not finite."""
        self.moments.add(row)
        if self.bins is not None:
            self.bins.add(row[0])

    def remove(self, row: Sequence[float]) -> None:
        """A unit less: its row, as it was added last."""
        if self.bins is not None:
            self.bins.add(row[0], -1)
        self.moments.remove(row)

    def replace(self, old: Sequence[float], new: Sequence[float]) -> None:
        """A unit's row is another one now, e.g. after a late outcome."""
        if self.bins is not None:
            self.bins.replace(old[0], new[0])
        self.moments.replace(old, new)

    def merge(self, other: Cell) -> None:
        """The units of another cell of the same metric, none of which is here."""
        self.moments.merge(other.moments)
        if self.bins is not None and other.bins is not None:
            self.bins.merge(other.bins)

    def summary(self) -> Summary:
        """Number, means and covariances of the columns, each rounded once."""
        return self.moments.summary()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        data = self.moments.to_json()
        if self.bins is not None:
            data["bins"] = {str(place): count for place, count in sorted(self.bins.counts.items())}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """What :meth:`to_json` wrote."""
        cell = cls.__new__(cls)
        cell.moments = ExactMoments.from_json(data)
        bins = data.get("bins")
        cell.bins = None if bins is None else LogBins({int(k): int(v) for k, v in bins.items()})
        return cell

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return self.moments == other.moments and self.bins == other.bins

    __hash__ = None  # type: ignore[assignment]
