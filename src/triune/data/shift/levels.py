"""How much a column moved. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from triune.data.shift.model import Level

MODERATE, LARGE = 0.1, 0.25
"""The convention of the index: see `triune.stats.population_stability`."""


class Moved(NamedTuple):
    """A column's index, what chance stays below, and the level."""

    psi: float | None
    chance: float | None
    level: Level


def judged(before: Sequence[int], after: Sequence[int], *, same: bool) -> Moved:
    """From the counts of both versions in the same bins; ``same`` when nothing counted differs."""
    from triune.stats.population_stability import compare

    if not sum(before) or not sum(after):
        return Moved(None, None, Level.SAME if same else Level.UNKNOWN)
    found = compare(before, after)
    level = Level.SAME if same else _level(found.psi, found.noise)
    return Moved(rounded(found.psi), rounded(found.noise), level)


def _level(psi: float, chance: float) -> Level:
    if psi <= chance:
        return Level.CHANCE
    if psi < MODERATE:
        return Level.SMALL
    return Level.MODERATE if psi < LARGE else Level.LARGE


def rounded(value: float) -> float:
    """To 12 digits: the last ones depend on the order in which threads add up."""
    return float(f"{value:.12g}")
