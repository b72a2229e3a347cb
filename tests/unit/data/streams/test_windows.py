"""Windowed values: whatever order events come in, they are what the set of events gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from triune.core.stream_config import Aggregation, FieldType
from triune.data.features.online.layout import ViewLayout
from triune.data.streams.model import Aggregate, Happened, Spec
from triune.data.streams.sums import ExactSum
from triune.data.streams.windows import Partition, Taken

SECOND = 1_000_000
KINDS = tuple(Aggregation)


def spec(lateness: int = 1000, window: int = 10) -> Spec:
    order = tuple(
        Aggregate(
            kind.value, kind, None if kind is Aggregation.COUNT else "x", window * SECOND, None
        )
        for kind in KINDS
    )
    order += (Aggregate("ever", Aggregation.LAST, "x", None, None),)
    layout = ViewLayout("p", "v", "a" * 12, ("k",), tuple((one.name, "DOUBLE") for one in order))
    fields = {"k": FieldType.STRING, "t": FieldType.TIMESTAMP, "x": FieldType.FLOAT}
    return Spec("s", "t", layout, ("k",), "t", "i", fields, order, lateness * SECOND)


def happened(number: int, entity: str, second: int, value: float) -> Happened:
    return Happened((entity,), second * SECOND, str(number), {"x": value})


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 60),
        st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: x / 7),
    ),
    min_size=1,
    max_size=40,
)


def naive(events: Sequence[Happened], entity: str, moment: int, window: int) -> tuple[object, ...]:
    mine = [(e.time_us, i, e.fields["x"]) for i, e in enumerate(events) if e.entity == (entity,)]
    inside = sorted(one for one in mine if moment - window < one[0] <= moment)
    values = [value for _, _, value in inside]
    exact = sum((Fraction(value) for value in values), Fraction(0))
    return (
        float(len(values)),
        float(exact) if values else None,
        float(exact / len(values)) if values else None,
        min(values, default=None),
        max(values, default=None),
        values[-1] if values else None,
        max(mine)[2] if mine else None,
    )


@given(EVENTS, st.data())
def test_in_any_order_the_rows_are_those_of_the_set(
    told: list[tuple[str, int, float]], data: st.DataObject
) -> None:
    events = [happened(i, entity, at, x) for i, (entity, at, x) in enumerate(told)]
    order = data.draw(st.permutations(range(len(events))))
    one = spec()
    partition = Partition(one)
    newest: dict[str, tuple[int, tuple[object, ...]]] = {}
    for place in order:
        assert partition.take(place, events[place]) is Taken.APPLIED
        for row in partition.rows():
            known = newest.get(str(row.entity[0]))
            if known is None or row.event_us >= known[0]:
                newest[str(row.entity[0])] = (row.event_us, row.values)
    moment = max(event.time_us for event in events)
    window = 10 * SECOND
    for entity, (at, values) in newest.items():
        assert at <= moment
        want = naive(events, entity, moment, window)
        assert values == tuple(want)


@given(EVENTS, st.integers(0, 39), st.integers(1, 20))
def test_a_state_built_again_goes_on_as_if_nothing_had_happened(
    told: list[tuple[str, int, float]], cut: int, lateness: int
) -> None:
    events = [happened(i % 30, entity, at, x) for i, (entity, at, x) in enumerate(told)]
    cut = min(cut, len(events))
    first = Partition(spec(lateness))
    for offset in range(cut):
        first.take(offset, events[offset])
    first.rows()
    kept = first.kept(cut)
    second = Partition(spec(lateness), kept.watermark)
    for offset in range(kept.offset, cut):
        second.take(offset, events[offset])
    second.rows()
    second.advance(first.watermark)
    second.rows()
    for offset in range(cut, len(events)):
        assert first.take(offset, events[offset]) is second.take(offset, events[offset])
        assert first.rows() == second.rows()


def test_an_event_counts_from_its_own_time_until_exactly_the_window_later() -> None:
    partition = Partition(spec())
    partition.take(0, happened(0, "a", 100, 5.0))
    (row,) = partition.rows()
    assert (row.event_us, row.values[0]) == (100 * SECOND, 1.0)
    partition.advance(110 * SECOND - 1)
    assert partition.rows() == []
    partition.advance(110 * SECOND)
    (row,) = partition.rows()
    assert (row.event_us, row.values[0], row.values[2], row.values[6]) == (
        110 * SECOND, 0.0, None, 5.0,
    )  # fmt: skip


def test_a_second_event_with_the_same_id_changes_nothing() -> None:
    partition = Partition(spec())
    partition.take(0, happened(7, "a", 100, 5.0))
    partition.rows()
    assert partition.take(1, happened(7, "a", 100, 5.0)) is Taken.DUPLICATE
    assert partition.rows() == []


def test_an_event_that_is_too_late_is_told_and_changes_nothing() -> None:
    partition = Partition(spec(lateness=5))
    partition.take(0, happened(0, "a", 100, 5.0))
    partition.rows()
    assert partition.take(1, happened(1, "a", 94, 5.0)) is Taken.LATE
    assert partition.rows() == []
    assert partition.take(2, happened(2, "a", 95, 5.0)) is Taken.APPLIED


def test_time_never_goes_back() -> None:
    partition = Partition(spec())
    partition.advance(50 * SECOND)
    partition.advance(40 * SECOND)
    assert partition.watermark == 50 * SECOND


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30), st.data())
def test_a_sum_is_exact_whatever_came_and_went(numbers: list[float], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
    total = ExactSum()
    for number in (*numbers, *gone):
        total.add(number)
    for number in gone:
        total.take(number)
    exact = sum((Fraction(number) for number in numbers), Fraction(0))
    try:
        wanted = float(exact)
    except OverflowError:
        return
    assert total.value() == wanted
    assert math.copysign(1.0, total.value()) == math.copysign(1.0, wanted) or wanted == 0.0


def test_a_value_whose_transform_fails_is_missing_and_counted() -> None:
    base = spec()
    root = replace(base.order[1], transform=math.sqrt)
    partition = Partition(replace(base, order=(base.order[0], root, *base.order[2:])))
    partition.take(0, happened(0, "a", 1, -4.0))
    (row,) = partition.rows()
    assert row.values[:2] == (1.0, None)
    assert dict(partition.failures) == {"ValueError: math domain error": 1}
    partition.take(1, happened(1, "a", 2, 8.0))
    (row,) = partition.rows()
    assert row.values[:2] == (2.0, 2.0)
