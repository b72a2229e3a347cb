"""What an estimator needs of one arm's units: their number, means and covariances.

Definition
    For ``n`` units with one or more columns: the vector of means and the matrix of covariances
    (with n - 1). Two summaries of different units add up to that of both, without the units.

Parameters
    Columns by convention: a mean metric has one, its value; a ratio metric two, numerator and
    denominator; a metric adjusted by CUPED its own columns first, then the same from before the
    exposure.

Assumptions
    A row is a unit of randomisation, e.g. a user, not a request.

Source
    Chan, Golub and LeVeque (1983) for the sum of two summaries.

>>> both = Summary.of([1.0, 2.0, 6.0]) + Summary.of([3.0])
>>> both.n, float(both.mean[0]), round(float(both.cov[0, 0]), 4)
(4, 3.0, 4.6667)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Summary:
    """``n`` units, their ``mean`` (shape p) and ``cov`` (shape p x p); zeros below two units."""

    n: int
    mean: NDArray[np.float64]
    cov: NDArray[np.float64]

    @classmethod
    def of(cls, *columns: ArrayLike) -> Summary:
        """From the units themselves: one array of n values for each column."""
        rows = np.stack([np.asarray(column, "float64") for column in columns])
        n = rows.shape[1]
        mean = rows.mean(axis=1) if n else np.zeros(len(rows))
        away = rows - mean[:, None]
        return cls(n, mean, away @ away.T / max(n - 1, 1))

    @classmethod
    def from_sums(
        cls, n: int, sums: Sequence[float], products: Sequence[Sequence[float]]
    ) -> Summary:
        """From totals, as a query gives them.

        Parameters
        ----------
        sums: the total of each column
        products: for each pair of columns the total of their product; only the upper triangle,
            row by row from the diagonal on, is read: ``[[xx, xy], [yy]]``

        Totals lose digits when a mean is large against its deviation; prefer :meth:`of` there.
        """
        total, p = np.asarray(sums, "float64"), len(sums)
        scatter = np.zeros((p, p))
        for i, row in enumerate(products):
            scatter[i, i:] = scatter[i:, i] = np.asarray(row, "float64")
        mean = total / n if n else np.zeros(p)
        return cls(n, mean, (scatter - np.outer(total, mean)) / max(n - 1, 1))

    def __add__(self, other: Summary) -> Summary:
        n = self.n + other.n
        if n == 0:
            return self
        apart = other.mean - self.mean
        scatter = (
            self.cov * max(self.n - 1, 0)
            + other.cov * max(other.n - 1, 0)
            + np.outer(apart, apart) * (self.n * other.n / n)
        )
        return Summary(n, self.mean + apart * (other.n / n), scatter / max(n - 1, 1))

    def columns(self, *which: int) -> Summary:
        """The summary of some of the columns."""
        at = list(which)
        return Summary(self.n, self.mean[at], self.cov[np.ix_(at, at)])
