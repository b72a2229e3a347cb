"""An effect as it was found, and one from the intervals of two arms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from triune.stats.comparison import Comparison, Side

OneSided = Callable[[Side, float, bool], Comparison | None]
"""The side, the null value, and whether it is absolute; None where there is no relative effect."""


@dataclass(frozen=True, slots=True)
class Found:
    """A metric's effect: absolute, relative (None: control is too near to 0) and one-sided."""

    difference: Comparison
    relative: Comparison | None
    one_sided: OneSided

    def shown(self, alpha: float) -> bool:
        """Whether there is a difference: by the p-value, which the interval is the inverse of, or
        which is the sharper one (`between`)."""
        return self.difference.p <= alpha


class Interval(Protocol):
    """An arm's value with its ends."""

    @property
    def low(self) -> float: ...
    @property
    def estimate(self) -> float: ...
    @property
    def high(self) -> float: ...


def between(a: Interval, b: Interval, p: float) -> Found:
    """The effect between two arms' intervals, each at half of alpha: strict when they are.

    A one-sided bound is an end of the two-sided interval; there is no sharper one, and no p-value
    but ``p`` when the null value is left out.
    """
    difference = Comparison(b.estimate - a.estimate, b.low - a.high, b.high - a.low, p)
    relative = None
    if a.low > 0.0 and a.estimate > 0.0:
        low = b.low / a.high - 1.0 if math.isfinite(a.high) else -1.0
        relative = Comparison(b.estimate / a.estimate - 1.0, low, b.high / a.low - 1.0, p)

    def one_sided(side: Side, null: float, absolutely: bool) -> Comparison | None:
        found = difference if absolutely else relative
        if found is None:
            return None
        low = -math.inf if side is Side.LESS else found.low
        high = math.inf if side is Side.GREATER else found.high
        out = Comparison(found.estimate, low, high, p).excludes(null)
        return Comparison(found.estimate, low, high, p if out else 1.0)

    return Found(difference, relative, one_sided)


def end(value: float) -> float | None:
    """An interval's end; None when nothing bounds it."""
    return value if math.isfinite(value) else None
