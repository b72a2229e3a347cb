"""Sums of units' values and of their products, without any rounding.

Definition
    A float is a whole number over a power of two. Kept at the finest power seen so far, the sums
    ``S_i`` of each column and ``P_ij`` of each pair's products are whole numbers ``S_i 2^-s`` and
    ``P_ij 2^-2s``. Mean and covariance are single divisions of whole numbers::

        mean_i = S_i / n,   cov_ij = (n P_ij - S_i S_j) / (n (n - 1))

Parameters
    Rows of finite floats, one a unit.

Assumptions
    None of the values: large means beside small deviations lose nothing.

Guarantee
    Means and covariances are the true ones rounded once. Adding, removing and merging in any
    order give the same; what is removed leaves no trace. A step takes constant time: values of
    ordinary size make whole numbers of about 200 bits, the widest floats of 4,300.

Source
    Exact accumulation as by Kulisch (2011), in whole numbers of any length.

>>> moments = ExactMoments(1)
>>> for value in (1e8 + 1.0, 1e8 + 2.0, 1e8 + 6.0, 1e300):
...     moments.add((value,))
>>> moments.remove((1e300,))
>>> float(moments.summary().cov[0, 0])
7.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triune.stats.summary import Summary


class ExactMoments:
    """Number, sums and products of rows of ``columns`` values. Changes in place.

    A removal of what was never added is not noticed, as only sums are kept.
    """

    __slots__ = ("columns", "n", "products", "scale", "sums")

    def __init__(self, columns: int) -> None:
        self.columns, self.n, self.scale = columns, 0, 0
        self.sums = [0] * columns
        self.products = [0] * (columns * (columns + 1) // 2)
        """The upper triangle, row by row from the diagonal on."""

    def add(self, row: Sequence[float]) -> None:
        """One more unit. Raises ValueError for a row of another length or a value not finite."""
        self._change(row, 1)

    def remove(self, row: Sequence[float]) -> None:
        """A unit less, whose row was added before."""
        self._change(row, -1)

    def replace(self, old: Sequence[float], new: Sequence[float]) -> None:
        """A unit's row is another one now."""
        after = self._whole(new)
        before = self._whole(old)
        # The old row, once added, cannot be finer than the scale, so the new one still fits it.
        self._sum(before, -1)
        self._sum(after, 1)

    def merge(self, other: ExactMoments) -> None:
        """The units of another, none of which is here."""
        if other.columns != self.columns:
            raise ValueError(f"{other.columns} columns do not match {self.columns}")
        self._refine(other.scale)
        up = self.scale - other.scale
        self.n += other.n
        self.sums = [a + (b << up) for a, b in zip(self.sums, other.sums, strict=True)]
        pairs = zip(self.products, other.products, strict=True)
        self.products = [a + (b << 2 * up) for a, b in pairs]

    def summary(self) -> Summary:
        """What the estimators take. Raises OverflowError when a moment is no finite float."""
        n, p = self.n, self.columns
        mean, cov = np.zeros(p), np.zeros((p, p))
        if n > 0:
            mean = np.array([total / (n << self.scale) for total in self.sums])
        if n > 1:
            below, at = n * (n - 1) << 2 * self.scale, 0
            for i in range(p):
                for j in range(i, p):
                    scatter = n * self.products[at] - self.sums[i] * self.sums[j]
                    cov[i, j] = cov[j, i] = scatter / below
                    at += 1
        return Summary(n, mean, cov)

    def to_json(self) -> dict[str, Any]:
        """Numbers of any length, written in hexadecimal."""
        return {
            "n": self.n,
            "scale": self.scale,
            "sums": [f"{total:x}" for total in self.sums],
            "products": [f"{total:x}" for total in self.products],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExactMoments:
        """What :meth:`to_json` wrote."""
        found = cls(len(data["sums"]))
        found.n, found.scale = int(data["n"]), int(data["scale"])
        found.sums = [int(text, 16) for text in data["sums"]]
        found.products = [int(text, 16) for text in data["products"]]
        return found

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same numbers, at whatever scales."""
        if not isinstance(other, ExactMoments):
            return NotImplemented
        if (self.columns, self.n) != (other.columns, other.n):
            return False
        up, down = max(0, other.scale - self.scale), max(0, self.scale - other.scale)
        return [a << up for a in self.sums] == [b << down for b in other.sums] and [
            a << 2 * up for a in self.products
        ] == [b << 2 * down for b in other.products]

    __hash__ = None  # type: ignore[assignment]

    def _change(self, row: Sequence[float], sign: int) -> None:
        self._sum(self._whole(row), sign)

    def _whole(self, row: Sequence[float]) -> list[int]:
        """The row as whole numbers at the scale, which becomes finer when it must."""
        if len(row) != self.columns:
            raise ValueError(f"a row of {len(row)} values does not match {self.columns} columns")
        try:
            ratios = [float(value).as_integer_ratio() for value in row]
        except (OverflowError, ValueError) as error:
            raise ValueError(f"values must be finite, not {list(row)}") from error
        finest = max(below for _, below in ratios).bit_length() - 1
        if finest > self.scale:
            self._refine(finest)
        return [top << self.scale + 1 - below.bit_length() for top, below in ratios]

    def _refine(self, scale: int) -> None:
        up = scale - self.scale
        if up > 0:
            self.sums = [total << up for total in self.sums]
            self.products = [total << 2 * up for total in self.products]
            self.scale = scale

    def _sum(self, row: list[int], sign: int) -> None:
        self.n += sign
        sums, products, at = self.sums, self.products, 0
        for i, value in enumerate(row):
            if value:
                sums[i] += sign * value
                for other in row[i:]:
                    products[at] += sign * value * other
                    at += 1
            else:
                at += len(row) - i
