"""Writing rows: whoever writes, the newest event time wins."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from triune.core.errors import Refused
from triune.data.features.online import keys
from triune.data.features.online.layout import ViewLayout
from triune.data.features.online.ports import Place, Stored

EARLIEST_US = -62_135_596_800_000_000
LATEST_US = 253_402_300_799_999_999
"""The first and last microsecond of the years 1 to 9999: Feast's event times end there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One entity's values.

    Attributes
    ----------
    entity: a value for each join key, in the layout's order
    values: a value for each feature, in the layout's order; see `ViewLayout.pack`
    """

    entity: tuple[object, ...]
    event_us: int
    values: tuple[Any, ...]
    created_us: int | None = None


class OnlineWriter:
    """Writes rows of any layout to one place. Safe to use from several threads."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def write(self, layout: ViewLayout, rows: Iterable[Row]) -> int:
        """Write rows; returns how many changed something. Idempotent.

        Raises
        ------
        Refused: (``feature-row-unfit``) naming the entity and what does not fit.
        Unavailable: (``online-store-unreachable``) some may have been written; write them again.
        """
        return self._place.put(packed(layout, rows))


def packed(layout: ViewLayout, rows: Iterable[Row]) -> Iterator[Stored]:
    """Rows as they are stored."""
    order = sorted(range(len(layout.join_keys)), key=layout.join_keys.__getitem__)
    begin = keys.prefix(layout.project, sorted(layout.join_keys))
    for row in rows:
        try:
            _timely(row.event_us)
            key = keys.key(begin, [row.entity[i] for i in order])
            stored = layout.pack(row.values, row.event_us, row.created_us)
        except (TypeError, struct.error, IndexError, OverflowError) as error:
            raise Refused(
                "feature-row-unfit",
                f"{layout.view}: the row of {row.entity} does not fit: {error}",
                context=", ".join(f"{name} {kind}" for name, kind in layout.features),
                hint="Give each feature a value of its type, or None.",
            ) from error
        yield Stored(key, layout.field, stored)


def _timely(event_us: int) -> None:
    if not EARLIEST_US <= event_us <= LATEST_US:
        raise OverflowError(f"its event time, {event_us} µs, is outside the years 1 to 9999")
