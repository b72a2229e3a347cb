"""Packed rows: what was packed comes back, and the bytes of another layout are never misread."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.data.features.online import keys
from triune.data.features.online.layout import (
    NULL,
    LayoutMismatch,
    Odd,
    ViewLayout,
    created_time,
    event_time,
    sortable,
)
from triune.data.features.online.plan import Status, compile, decoder

FLOATS = st.floats(width=32) | st.just(-0.0)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "UNIX_TIMESTAMP": st.integers(-(2**63), 2**63 - 1),
    "DOUBLE": st.floats(),
    "FLOAT": FLOATS,
    "BOOL": st.booleans(),
    "STRING": st.text(),
    "JSON": st.text(),
    "BYTES": st.binary(),
    "FLOAT_LIST": st.binary(),
    "MAP": st.binary(),
}
MISSING = st.sampled_from([None, NULL]) | st.binary(max_size=5).map(Odd)
TIMES = st.integers(-(2**55), 2**55)


@st.composite
def rows(draw: st.DrawFn) -> tuple[ViewLayout, list[Any], int, int | None]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=12))
    features = tuple((f"f{i}", kind) for i, kind in enumerate(kinds))
    values = [draw(VALUES[kind] | MISSING) for kind in kinds]
    layout = ViewLayout("p", "v", "a" * 12, ("k",), features)
    return layout, values, draw(TIMES), draw(TIMES.filter(lambda t: t > -(2**55)) | st.none())


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other) or (
            math.isnan(one) and math.isnan(other)
        )
    return bool(one == other) and type(one) is type(other)


@given(rows())
def test_what_was_packed_comes_back(packed: tuple[ViewLayout, list[Any], int, int | None]) -> None:
    layout, values, event_us, created_us = packed
    row = layout.pack(values, event_us, created_us)
    assert event_time(row) == event_us
    assert created_time(row) == created_us
    assert all(map(same, layout.unpack(row), values))


@given(rows(), st.data())
def test_a_decoder_gives_what_is_asked_in_the_order_asked(
    packed: tuple[ViewLayout, list[Any], int, int | None], data: st.DataObject
) -> None:
    layout, values, event_us, _ = packed
    names = [name for name, _ in layout.features]
    asked = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    found = decoder(layout, asked)(layout.pack(values, event_us))
    wanted = [values[names.index(name)] for name in asked]
    assert all(map(same, found, [None if value is NULL else value for value in wanted]))


@given(rows())
def test_the_bytes_of_another_layout_are_refused(
    packed: tuple[ViewLayout, list[Any], int, int | None],
) -> None:
    layout, values, event_us, _ = packed
    other = ViewLayout("p", "v", "b" * 12, ("k",), layout.features)
    row = layout.pack(values, event_us)
    with pytest.raises(LayoutMismatch):
        other.unpack(row)
    plan = compile([other], ["v"])
    answer = plan.answer([[row]], 1, event_us)
    assert answer.statuses["v"] == [Status.UNREADABLE]
    assert {values[0] for values in answer.columns.values()} == {None}


@given(st.lists(TIMES))
def test_times_sort_as_their_bytes_do(times: list[int]) -> None:
    assert [sortable(t) for t in sorted(times)] == sorted(map(sortable, times))


@given(rows())
def test_a_layout_survives_json(packed: tuple[ViewLayout, list[Any], int, int | None]) -> None:
    assert ViewLayout.from_json(packed[0].to_json()) == packed[0]


VALUE = st.text() | st.binary() | st.integers()


@given(st.lists(VALUE, min_size=1, max_size=3), st.lists(VALUE, min_size=1, max_size=3))
def test_other_entities_have_other_keys(one: list[object], other: list[object]) -> None:
    same_ = [(type(v), v) for v in one] == [(type(v), v) for v in other]
    assert (keys.key(b"", one) == keys.key(b"", other)) is same_


def test_a_value_that_is_no_key_is_refused() -> None:
    with pytest.raises(keys.UnusableKey):
        keys.encoded(1.5)


def test_a_row_older_than_it_may_live_is_expired() -> None:
    layout = ViewLayout("p", "v", "a" * 12, ("k",), (("x", "FLOAT"),), ttl_seconds=10)
    plan, row = compile([layout], ["v:x"]), layout.pack([1.0], 0)
    for now, status in ((10_000_000, Status.PRESENT), (10_000_001, Status.EXPIRED)):
        answer = plan.answer([[row]], 1, now)
        assert answer.statuses["v"] == [status]
        assert answer.columns["v:x"] == [1.0 if status is Status.PRESENT else None]
        assert answer.event_times["v"] == [0]


def test_an_unknown_feature_is_no_plan() -> None:
    layout = ViewLayout("p", "v", "a" * 12, ("k",), (("x", "FLOAT"),))
    for asked in ("w", "v:y"):
        with pytest.raises(KeyError, match=asked):
            compile([layout], [asked])
