"""What a test of two arms says, and in which direction it asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Side(Enum):
    """What the test looks for."""

    BOTH = "the candidate differs"
    GREATER = "the candidate is greater"
    LESS = "the candidate is less"


@dataclass(frozen=True, slots=True)
class Comparison:
    """An estimated effect with its interval and p-value.

    One-sided, the interval has one end: ``high`` is inf when the candidate is asked to be greater,
    ``low`` is -inf when it is asked to be less. An estimate read when a sequential test stops is
    biased away from 0; say so beside it.
    """

    estimate: float
    low: float
    high: float
    p: float

    def excludes(self, value: float) -> bool:
        """Whether the interval leaves the value out.

        >>> Comparison(1.0, 0.2, 1.8, 0.01).excludes(0.0)
        True
        """
        return not self.low <= value <= self.high


def around(estimate: float, half: float, p: float, side: Side) -> Comparison:
    """The comparison whose interval reaches ``half`` from the estimate, on the sides asked for.

    >>> around(1.0, 0.5, 0.04, Side.GREATER)
    Comparison(estimate=1.0, low=0.5, high=inf, p=0.04)
    """
    return Comparison(
        estimate=estimate,
        low=-math.inf if side is Side.LESS else estimate - half,
        high=math.inf if side is Side.GREATER else estimate + half,
        p=p,
    )
