"""The sums of a test: its cells, and what is counted of its units. Changes in constant time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from triune.delivery.abtest.cell import Cell, CellKey
from triune.delivery.abtest.model import Metric
from triune.delivery.abtest.units import Row, Standing

COUNTED: Mapping[str, str] = {
    "units": "units that saw a variant",
    "hopped": "units that saw more than one variant: left out of every metric",
    "repeated": "exposures after a unit's first",
    "joined": "outcomes that count",
    "early": "outcomes from before their unit's first exposure: not counted",
    "outside": "outcomes past the window of every metric: not counted",
    "waiting": "outcomes of units that saw no variant: counted when the exposure comes",
}


class Tally:
    """All sums of one test. ``exposed`` are units by the variant that they saw first; ``segments``
    all that there may be."""

    def __init__(
        self, metrics: Sequence[Metric], variants: Iterable[str], segments: Iterable[str] = ()
    ) -> None:
        self._metrics = tuple(metrics)
        self.exposed: Counter[str] = Counter(dict.fromkeys(variants, 0))
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self.cells = {
            CellKey(metric.name, variant, segment): Cell(metric)
            for segment in ("", *segments)
            for metric in self._metrics
            for variant in self.exposed
        }

    def change(self, old: Standing | None, new: Standing) -> None:
        """A unit stands otherwise than before (None: it was not there)."""
        if old is not None:
            self._count(old, -1)
        self._count(new, 1)
        for place, metric in enumerate(self._metrics):
            before = None if old is None else _row(old, place)
            after = _row(new, place)
            same = old is not None and _where(old) == _where(new)
            if before == after and (old is None or same):
                continue
            if before is not None and after is not None and same:
                for cell in self._of(metric, new):
                    cell.replace(before, after)
                continue
            if before is not None and old is not None:
                for cell in self._of(metric, old):
                    cell.remove(before)
            if after is not None:
                for cell in self._of(metric, new):
                    cell.add(after)

    def _of(self, metric: Metric, standing: Standing) -> Iterator[Cell]:
        """The cells that a unit is in."""
        for segment in ("", *standing.segments):
            yield self.cells[CellKey(metric.name, standing.variant or "", segment)]

    def _count(self, standing: Standing, sign: int) -> None:
        counts = self.counts
        if standing.variant is not None:
            self.exposed[standing.variant] += sign
            counts["units"] += sign
            counts["repeated"] += sign * (standing.sightings - 1)
            counts["hopped"] += sign * standing.hopped
        counts["joined"] += sign * standing.joined
        counts["early"] += sign * standing.early
        counts["outside"] += sign * standing.outside
        counts["waiting"] += sign * standing.waiting

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "exposed": dict(self.exposed),
            "counts": dict(self.counts),
            "cells": [
                [key.metric, key.variant, key.segment, cell.to_json()]
                for key, cell in self.cells.items()
            ],
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take what :meth:`to_json` wrote."""
        self.exposed.update(Counter(data["exposed"]))
        self.counts.update(Counter(data["counts"]))
        for metric, variant, segment, cell in data["cells"]:
            self.cells[CellKey(metric, variant, segment)] = Cell.from_json(cell)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tally):
            return NotImplemented
        mine = (self.exposed, self.counts, self.cells)
        return mine == (other.exposed, other.counts, other.cells)

    __hash__ = None  # type: ignore[assignment]


def _where(standing: Standing) -> tuple[str | None, tuple[str, ...]]:
    return standing.variant, standing.segments


def _row(standing: Standing, place: int) -> Row | None:
    return standing.rows[place]
