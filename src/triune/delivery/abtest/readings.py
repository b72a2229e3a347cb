"""What a look at an A/B test sees, and what it remembers of earlier looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triune.delivery.abtest.cell import Cell, CellKey
from triune.stats.sample_ratio import SampleRatio


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that the analysis needs at one moment.

    Parameters
    ----------
    exposed: units exposed so far, by variant; those that hopped between variants are left out of
        cells, but are counted here under the first one they saw
    cells: by metric, variant and segment
    days: since the first exposure
    hopped: units that saw more than one variant
    alarm: a rollout's alarm that is active at the endpoint, in words; empty: none
    """

    exposed: Mapping[str, int]
    cells: Mapping[CellKey, Cell] = field(default_factory=dict)
    days: float = 0.0
    hopped: int = 0
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier looks leave to the next one; plain JSON by `msgspec`.

    Parameters
    ----------
    ratio: the test of the arms' shares of the units
    p: the smallest anytime p-value so far, of each comparison (``metric/variant``)
    fractions: the information fractions of the looks of a group-sequential test
    looks: how many there were
    """

    ratio: SampleRatio = field(default_factory=SampleRatio)
    p: Mapping[str, float] = field(default_factory=dict)
    fractions: tuple[float, ...] = ()
    looks: int = 0
