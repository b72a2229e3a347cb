"""What DuckDB counts of two tables is what a plain look at their values counts."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from triune.data.shift import numbers, schema, values
from triune.data.shift.model import (
    CategoryFacts,
    ColumnShift,
    Level,
    NumberFacts,
    Shares,
    Spread,
    TimeFacts,
)
from triune.data.shift.sources import Files, Table, opened

NUMBERS = st.lists(st.floats(width=64) | st.none() | st.integers(-5, 5).map(float), max_size=40)
WHOLE = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 30) | st.none(), max_size=40)
TEXTS = st.lists(
    st.sampled_from(["a", "b", "", "ü"]) | st.text(max_size=3) | st.none(), max_size=40
)
MOMENTS = st.lists(st.integers(-(2**62), 2**62) | st.none(), max_size=20)


@contextmanager
def tables(before: pa.Array, after: pa.Array) -> Iterator[tuple[Table, Table, schema.Matched]]:
    with TemporaryDirectory() as name:
        folder, sides = Path(name), []
        for side, column in (("before", before), ("after", after)):
            path = folder / f"{side}.parquet"
            parquet.write_table(pa.table({"x": column}), path)
            sides.append(Files(side, {path.name: path}))
        with opened(*sides, folder / "scratch") as (old, new):
            ((column,), _) = schema.matched(old.columns, new.columns)
            yield old, new, column


def compared(before: Any, after: Any, kind: pa.DataType) -> ColumnShift:
    with tables(pa.array(before, kind), pa.array(after, kind)) as (old, new, column):
        shift = values.shift if kind == pa.string() else numbers.shift
        return shift(old, new, column)


def usable(found: list[Any]) -> list[float]:
    return [float(v) for v in found if v is not None and abs(v) < 1e150]


def holds(facts: Any, found: list[Any]) -> None:
    assert isinstance(facts, NumberFacts)
    plain = np.array(usable(found))
    assert facts.count == len(found)
    if len(found):
        assert facts.missing == pytest.approx(1 - len(plain) / len(found))
    if not len(plain):
        assert facts.mean is facts.min is facts.p50 is facts.max is None
        return
    scale = float(np.abs(plain).max())
    assert (facts.min, facts.max) == (plain.min(), plain.max())
    assert facts.mean == pytest.approx(plain.mean(), rel=1e-9, abs=1e-9 * scale)
    assert facts.p25 == pytest.approx(np.quantile(plain, 0.25), rel=1e-9, abs=1e-9 * scale)
    assert facts.p95 == pytest.approx(np.quantile(plain, 0.95), rel=1e-9, abs=1e-9 * scale)
    if len(plain) > 1 and scale < 1e100:
        assert facts.std == pytest.approx(plain.std(ddof=1), rel=1e-6, abs=1e-6 * scale)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, NUMBERS)
def test_numbers(before: list[float | None], after: list[float | None]) -> None:
    found = compared(before, after, pa.float64())
    holds(found.before, before)
    holds(found.after, after)
    spread(found, usable(before), usable(after))


@settings(max_examples=40, deadline=None)
@given(WHOLE, WHOLE)
def test_whole_numbers(before: list[int | None], after: list[int | None]) -> None:
    found = compared(before, after, pa.int64())
    holds(found.before, before)
    holds(found.after, after)
    spread(found, usable(before), usable(after))


def spread(found: ColumnShift, before: list[float], after: list[float]) -> None:
    detail = found.detail
    assert isinstance(detail, Spread)
    assert detail.sampled == (len(before), len(after))
    if detail.histogram is not None:
        edges = detail.histogram.edges
        assert all(low < high for low, high in itertools.pairwise(edges))
        assert sum(detail.histogram.before) == len(before)
        assert sum(detail.histogram.after) == len(after)
    if before and after:
        assert detail.ks == pytest.approx(
            max(
                abs(
                    sum(v <= at for v in before) / len(before)
                    - sum(v <= at for v in after) / len(after)
                )
                for at in {*before, *after}
            )
        )
    assert (found.psi is None) == (not found.before.count or not found.after.count)
    assert found.psi is None or (found.psi >= 0.0 and math.isfinite(found.psi))


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_categories(before: list[str | None], after: list[str | None]) -> None:
    found = compared(before, after, pa.string())
    olds, news = (Counter(v for v in side if v is not None) for side in (before, after))
    detail = found.detail
    assert isinstance(detail, Shares)
    assert isinstance(found.before, CategoryFacts)
    assert isinstance(found.after, CategoryFacts)
    assert (found.before.distinct, found.after.distinct) == (len(olds), len(news))
    assert detail.new_count == len(news.keys() - olds.keys())
    assert detail.vanished_count == len(olds.keys() - news.keys())
    assert set(detail.new) <= news.keys() - olds.keys()
    assert len(detail.top) == min(len({*olds, *news}), values.TOP)
    for one in detail.top:
        assert one.before == (pytest.approx(olds[one.value] / len(before)) if before else None)
        assert one.after == (pytest.approx(news[one.value] / len(after)) if after else None)
    if after:
        total = sum(one.after or 0.0 for one in (*detail.top, detail.rest))
        assert total + (found.after.missing or 0.0) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(MOMENTS, MOMENTS)
def test_moments(before: list[int | None], after: list[int | None]) -> None:
    found = compared(before, after, pa.timestamp("us"))
    for facts, side in ((found.before, before), (found.after, after)):
        assert isinstance(facts, TimeFacts)
        known = [value for value in side if value is not None]
        if not known:
            assert facts.min is facts.max is None
            continue
        first = np.datetime64((facts.min or "").removesuffix("Z"), "us").astype(int)
        assert first == pytest.approx(min(known), rel=1e-15, abs=1.0)


@settings(max_examples=30, deadline=None)
@given(NUMBERS)
def test_a_table_compared_with_itself_is_the_same(found: list[float | None]) -> None:
    shift = compared(found, found, pa.float64())
    assert shift.level is Level.SAME
    assert not shift.psi
    assert shift.before == shift.after
