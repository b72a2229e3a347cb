"""Units of two arms, look by look: for each run and look the sums that a test keeps of them.

A look comes after every ``block`` units of both arms' mean, so arms of 9 to 1 get 180 and 20.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BUYERS, SPREAD = 0.03, 1.5
"""Of revenue: the share of units that buy, and the deviation of the logarithm of what they pay."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Units after each look (looks), and sums and sums of squares (runs x looks)."""

    n: Floats
    total: Floats
    squares: Floats

    @property
    def mean(self) -> Floats:
        return self.total / self.n

    @property
    def variance(self) -> Floats:
        return (self.squares - self.total * self.mean) / (self.n - 1.0)


Draw = Callable[[np.random.Generator, int, NDArray[np.int64], float], tuple[Floats, Floats]]
"""Generator, runs, units of each look and the effect, to sums and squares of each look."""


@dataclass(frozen=True, slots=True)
class World:
    """Where units come from. ``shares`` of control and candidate; ``binary`` units are 0 or 1."""

    name: str
    draw: Draw
    shares: tuple[float, float] = (0.5, 0.5)
    binary: bool = False

    def arms(
        self, draw: np.random.Generator, runs: int, looks: int, block: int, effect: float = 0.0
    ) -> tuple[Arm, Arm]:
        """Control, and the candidate with the effect in the metric's own unit."""
        made = []
        for share, shift in zip(self.shares, (0.0, effect), strict=True):
            units = np.full(looks, round(2 * block * share))
            total, squares = self.draw(draw, runs, units, shift)
            made.append(
                Arm(units.cumsum().astype(float), total.cumsum(axis=1), squares.cumsum(axis=1))
            )
        return made[0], made[1]


def normal(
    draw: np.random.Generator, runs: int, units: NDArray[np.int64], effect: float
) -> tuple[Floats, Floats]:
    """Standard normal values."""
    mean = draw.normal(effect, 1.0 / np.sqrt(units), (runs, len(units)))
    scatter = draw.chisquare(units - 1, (runs, len(units)))
    return mean * units, scatter + mean * mean * units


def share_of(p: float) -> Draw:
    """Yes and no, with a chance of p."""

    def drawn(
        draw: np.random.Generator, runs: int, units: NDArray[np.int64], effect: float
    ) -> tuple[Floats, Floats]:
        happened = draw.binomial(units, p + effect, (runs, len(units))).astype(float)
        return happened, happened

    return drawn


def revenue(cap: float = math.inf) -> Draw:
    """Most units buy nothing, the others pay log-normal sums, limited to ``cap``."""

    def drawn(
        draw: np.random.Generator, runs: int, units: NDArray[np.int64], effect: float
    ) -> tuple[Floats, Floats]:
        buyers = draw.binomial(units, BUYERS + effect, (runs, len(units)))
        paid = np.minimum(draw.lognormal(0.0, SPREAD, buyers.sum()), cap)
        place = np.repeat(np.arange(buyers.size), buyers.ravel())
        sums = [np.bincount(place, each, buyers.size) for each in (paid, paid * paid)]
        return sums[0].reshape(buyers.shape), sums[1].reshape(buyers.shape)

    return drawn


CAP = math.exp(2.326 * SPREAD)
"""What 99 % of the buyers stay below."""

UNEVEN = (0.9, 0.1)

WORLDS = (
    World("normal", normal),
    World("binary 3 %", share_of(0.03), binary=True),
    World("binary 0.1 %", share_of(0.001), binary=True),
    World("revenue", revenue()),
    World("revenue, winsorised", revenue(CAP)),
    World("normal, 9 to 1", normal, UNEVEN),
    World("binary 3 %, 9 to 1", share_of(0.03), UNEVEN, binary=True),
    World("binary 0.1 %, 9 to 1", share_of(0.001), UNEVEN, binary=True),
    World("revenue, 9 to 1", revenue(), UNEVEN),
    World("revenue, winsorised, 9 to 1", revenue(CAP), UNEVEN),
)
