"""A/B tests with made-up units: cells by variant from plain columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from triune.delivery.abtest.cell import Cell, CellKey
from triune.delivery.abtest.model import Declaration, Kind, Metric, Role, Variant
from triune.delivery.abtest.readings import Readings

BOUGHT = Metric("bought", Kind.PROPORTION, Role.PRIMARY, minimum_effect=0.1)


def declared(
    *others: Metric, arms: int = 2, primary: Metric = BOUGHT, **changes: Any
) -> Declaration:
    """A test of equal arms: ``a`` is control, then ``b``, ``c``, ..."""
    variants = tuple(Variant("abcdef"[i], 10_000 // arms) for i in range(arms))
    made = Declaration(
        "checkout", "A shorter form sells more.", variants, "a", (primary, *others), "checkout"
    )
    return replace(made, **changes)


def cell(metric: Metric, *columns: Sequence[float]) -> Cell:
    """A cell of units, one array for each column."""
    return Cell.of(metric, zip(*(np.asarray(c, float).tolist() for c in columns), strict=True))


def successes(metric: Metric, happened: int, n: int) -> Cell:
    """A cell of so many units with a 1, and the rest with a 0."""
    return cell(metric, [1.0] * happened + [0.0] * (n - happened))


def seen(
    cells: Mapping[tuple[str, ...], Cell],
    days: float = 14.0,
    exposed: Mapping[str, int] | None = None,
    **others: Any,
) -> Readings:
    """Readings from cells by (metric, variant) or (metric, variant, segment)."""
    keyed = {CellKey(*key): value for key, value in cells.items()}
    units: dict[str, int] = {}
    for key, value in keyed.items():
        if not key.segment:
            units[key.variant] = max(units.get(key.variant, 0), value.n)
    return Readings(exposed or units, keyed, days, **others)
