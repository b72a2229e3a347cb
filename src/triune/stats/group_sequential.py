"""Boundaries for a test looked at a planned number of times, when the final n is firm.

Definition
    At information fraction ``t`` (samples so far over samples planned) the error
    ``alpha t^2`` may have been spent. The bound at each look is the z at which the chance of
    crossing there, without having crossed before, is what that look may spend. The chance comes
    from the joint normal distribution of the z statistics, integrated numerically look by look.

Parameters
    ``fractions`` the rising information fractions of the looks so far, ``alpha`` the error,
    ``sides`` 1 or 2.

Assumptions
    z statistics of independent samples, close to normal at each look; fractions do not depend on
    the results. Two-sided, each side is treated as a one-sided test of ``alpha / 2``, as
    spotify-confidence does: the chance of crossing both sides is counted twice, which is safe.

Guarantee
    The chance of ever crossing at the looks is ``alpha`` under the null hypothesis, as far as the
    normal approximation holds. Looks may be added while running, but not past the planned n.

Source
    Lan and DeMets (1983) with the spending function of Kim and DeMets (1987) at power 2; the
    recursion of Armitage, McPherson and Rowe (1969). Agrees with spotify-confidence 4.1.0 to its
    own accuracy.

>>> [round(z, 2) for z in bounds([0.25, 0.5, 0.75, 1.0], 0.05, sides=1)]
[2.73, 2.3, 2.01, 1.77]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

FEWEST_NODES, MOST_NODES = 128, 1024
"""Points of the Gauss-Legendre rule for one look's density."""

REACH = 8.0
"""Standard deviations beyond which the density is taken for 0; also the largest bound."""


def bounds(
    fractions: Sequence[float], alpha: float, *, sides: int = 2, power: float = 2.0
) -> list[float]:
    """The bound on z (two-sided: on its absolute value) at each look.

    A hundred looks take about half a second; for a look every few seconds use
    :mod:`triune.stats.sequential_effect`. Raises ValueError unless the fractions rise within
    (0, 1], ``0 < alpha < 1`` and sides is 1 or 2.
    """
    _check(fractions, alpha, sides)
    found: list[float] = []
    # The sum S has variance t at fraction t; ``mass`` is the density at ``nodes`` times its weight.
    nodes, mass = np.array([0.0]), np.array([1.0])
    past, spent = 0.0, 0.0
    for fraction, coming in zip(fractions, (*fractions[1:], 0.0), strict=True):
        allowed = alpha / sides * fraction**power
        step = math.sqrt(fraction - past)
        z = _bound(nodes, mass, allowed - spent, step, math.sqrt(fraction))
        found.append(z)
        top, bottom = z * math.sqrt(fraction), -REACH * math.sqrt(fraction)
        nodes, mass = _advance(
            nodes, mass, step, _rule(_points(past, fraction, coming), bottom, top)
        )
        past, spent = fraction, allowed
    return found


def repeated_p(
    z: float, fractions: Sequence[float], *, sides: int = 2, power: float = 2.0
) -> float:
    """The smallest alpha whose bound at the last of the looks ``z`` reaches; 1.0 when none.

    Keep the smallest over all looks (Jennison and Turnbull 1984: repeated p-values). One-sided,
    only a positive ``z`` speaks. Never below 1e-9.

    >>> round(repeated_p(bounds([0.5, 1.0], 0.05)[-1], [0.5, 1.0]), 6)
    0.05
    """
    reached = abs(z) if sides == 2 else z

    def short_of(alpha: float) -> float:
        return bounds(fractions, alpha, sides=sides, power=power)[-1] - reached

    smallest, largest = 1e-9, 1.0 - 1e-9
    if short_of(largest) > 0.0:
        return 1.0
    if short_of(smallest) <= 0.0:
        return smallest
    return float(brentq(short_of, smallest, largest, xtol=1e-10))


def _check(fractions: Sequence[float], alpha: float, sides: int) -> None:
    steps = [late - early for early, late in zip((0.0, *fractions), fractions, strict=False)]
    if not fractions or min(steps) <= 0.0 or fractions[-1] > 1.0 + 1e-12:
        raise ValueError(f"fractions must rise within (0, 1], not {list(fractions)}")
    if not 0.0 < alpha < 1.0 or sides not in (1, 2):
        raise ValueError(f"need 0 < alpha < 1 and 1 or 2 sides, not {alpha} and {sides}")


def _bound(
    nodes: NDArray[np.float64], mass: NDArray[np.float64], budget: float, step: float, scale: float
) -> float:
    def left_over(z: float) -> float:
        return float(mass @ norm.sf((z * scale - nodes) / step)) - budget

    return float(brentq(left_over, -REACH, REACH)) if left_over(REACH) < 0.0 else REACH


def _advance(
    nodes: NDArray[np.float64],
    mass: NDArray[np.float64],
    step: float,
    rule: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The density of S at this look, at the rule's nodes, among the paths that have not crossed."""
    new, weights = rule
    density = np.exp(-0.5 * ((new[:, None] - nodes[None, :]) / step) ** 2)
    return new, weights * (density @ mass) / (step * math.sqrt(2.0 * math.pi))


def _points(before: float, fraction: float, after: float) -> int:
    """Enough nodes that the shorter of the steps around a look spans more than one of them."""
    steps = [step for step in (fraction - before, after - fraction) if step > 0.0]
    wanted = 1.5 * 2.0 * REACH * math.sqrt(fraction / min(steps))
    points = FEWEST_NODES
    while points < min(wanted, MOST_NODES):
        points *= 2
    return points


def _rule(
    points: int, bottom: float, top: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, weight = _legendre(points)
    half = 0.5 * (top - bottom)
    return half * (x + 1.0) + bottom, half * weight


@lru_cache(maxsize=8)
def _legendre(points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, weight = np.polynomial.legendre.leggauss(points)
    return x, weight
