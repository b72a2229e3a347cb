"""Facts of A/B tests: a declaration, a ledger in memory, exposures and outcomes to fill it with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.sql import SqlStore
from triune.core.ids import new_id
from triune.delivery.abtest.backends.sqlite import SumsFile
from triune.delivery.abtest.facts import EXPOSED, OBSERVED, Period, Reader
from triune.delivery.abtest.model import (
    Absent,
    Declaration,
    Field,
    Fold,
    Kind,
    Metric,
    Role,
    Segment,
    Source,
    Variant,
)
from triune.delivery.abtest.stream import Stream
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

RUN = "run-1"
START = 1_000_000
NOW = 1_000_000_000_000
SECOND = 1_000_000

METRICS = (
    Metric(
        "bought", Kind.PROPORTION, Role.PRIMARY, Field(fold=Fold.ANY, name="order"), window_s=50
    ),
    Metric("revenue", Kind.MEAN, value=Field(fold=Fold.SUM, name="order"), high=120.0, window_s=90),
    Metric(
        "basket",
        Kind.RATIO,
        value=Field(fold=Fold.SUM, name="order"),
        denominator=Field(fold=Fold.COUNT, name="order"),
        absent=Absent.LEFT_OUT,
        window_s=90,
    ),
    Metric("stars", Kind.MEAN, value=Field(name="rating"), absent=Absent.LEFT_OUT, window_s=60),
    Metric("visits", Kind.COUNT, value=Field(Source.EXPOSURE, "", Fold.COUNT)),
    Metric("wait", Kind.QUANTILE, value=Field(name="rating"), quantile=0.5, window_s=60),
)
DECLARED = Declaration(
    name="checkout",
    hypothesis="the new page sells more",
    variants=(Variant("old", 5000, "off"), Variant("new", 5000, "on")),
    control="old",
    metrics=METRICS,
    salt="checkout",
    flag="new-ui",
)

SEGMENTED = replace(
    DECLARED,
    segments=(
        Segment("country", ("de", "fr"), "context.country"),
        Segment("new", ("true",), "context.new"),
    ),
)


class MemoryLog:
    """The part of a ledger that tests read, over the store in memory."""

    def __init__(self) -> None:
        self.store = SqlStore()

    def record(self, events: Sequence[Event], *, all_new: bool = False) -> int:
        return self.store.append(events, all_new=all_new)

    def get(self, identifier: str) -> Event | None:
        return self.store.get(identifier)

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        return self.store.select(query or Query())

    def last_sequence(self) -> int:
        return self.store.last_sequence()


def saw(unit: str, variant: str, at: float, run: str = RUN, **context: Any) -> Event:
    """``unit`` saw ``variant`` so many seconds after the start."""
    payload: dict[str, Any] = {"test": "checkout", "run": run, "unit": unit, "variant": variant}
    payload |= {"context": context} if context else {}
    return _event(EXPOSED, "test:checkout", at, payload)


def told(unit: str, name: str, value: Any, at: float, key: str = "") -> Event:
    """What happened to ``unit`` so many seconds after the start; ``key``: which outcome it is."""
    payload = {"unit": unit, "name": name, "value": value}
    return _event(OBSERVED, f"outcome:{key or new_id()}", at, payload)


def _event(kind: str, subject: str, at: float, payload: dict[str, Any]) -> Event:
    return Event(
        id=new_id(),
        time=START + round(at * SECOND),
        kind=kind,
        subject=subject,
        actor="service:test",
        workspace="shop",
        payload=payload,
    )


def reader(declaration: Declaration = DECLARED) -> Reader:
    """Reads the flag test's run."""
    return Reader(declaration, RUN, {})


def stream(
    log: Any,
    folder: Path,
    *,
    until: int | None = None,
    declaration: Declaration = DECLARED,
    before: Any = None,
) -> Stream:
    """A stream over a log, with its sums in a folder."""
    sums = SumsFile(folder / "sums.db", "checkout")
    return Stream(log, reader(declaration), Period(START, until), sums, before)
