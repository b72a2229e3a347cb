"""Sums of floating-point numbers that are exact, however often numbers come and go."""

from __future__ import annotations

_SHIFT = 1074
"""Every finite double is a whole multiple of 2 to the power of -1074."""
_ONE = 1 << _SHIFT


class ExactSum:
    """The exact sum of numbers added and taken away; any order gives the same.

    >>> total = ExactSum()
    >>> for number in (1e16, 1.0, -1e16):
    ...     total.add(number)
    >>> total.value()
    1.0
    """

    __slots__ = ("_scaled",)

    def __init__(self) -> None:
        self._scaled = 0

    def add(self, number: float) -> None:
        """Add a finite number."""
        self._scaled += scaled(number)

    def take(self, number: float) -> None:
        """Take away a number that was added."""
        self._scaled -= scaled(number)

    def value(self) -> float:
        """The sum, rounded once."""
        return self._scaled / _ONE

    def mean(self, count: int) -> float:
        """The sum divided by a count, rounded once."""
        return self._scaled / (_ONE * count)


def scaled(number: float) -> int:
    """A finite number as a multiple of 2 to the power of -1074."""
    numerator, denominator = float(number).as_integer_ratio()
    return numerator << (_SHIFT + 1 - denominator.bit_length())
