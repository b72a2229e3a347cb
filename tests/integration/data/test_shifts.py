"""Versions compared inside their tables: DuckDB over real files, the rest of the service fakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.support.tables import Tables, column
from triune.core.errors import NotFound
from triune.data.shift.model import CategoryFacts, Kind, Level, NumberFacts, Shares, Spread

ROWS = 2000
RANDOM = np.random.default_rng(7)
SALES = pd.DataFrame(
    {
        "price": RANDOM.lognormal(3.0, 0.5, ROWS),
        "shop": RANDOM.choice(["north", "south"], ROWS),
        "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(RANDOM.uniform(0, 30, ROWS), unit="D"),
    }
)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def test_a_column_that_moved_comes_first_and_one_that_did_not_is_the_same(tables: Tables) -> None:
    tables.before(t__parquet=SALES, note__txt="old")
    tables.after(t__parquet=SALES.assign(price=SALES["price"] * 1.5), note__txt="new")
    table = tables.only()
    assert (table.rows_before, table.rows_after) == (ROWS, ROWS)
    assert [(one.name, one.level) for one in table.columns] == [
        ("price", Level.LARGE),
        ("at", Level.SAME),
        ("shop", Level.SAME),
    ]
    assert isinstance(table.columns[0].detail, Spread)
    assert table.columns[0].detail.ks == pytest.approx(0.31, abs=0.05)


def test_two_recorded_versions_are_compared(tables: Tables) -> None:
    first = tables.before(t__csv=SALES)
    tables.after(t__csv=SALES.assign(shop="east"))
    second = tables.shop.data.add("sales").ref
    (table,) = tables.shifts.diff(first, second).tables
    detail = column(table, "shop").detail
    assert isinstance(detail, Shares)
    assert (detail.new, set(detail.vanished)) == (("east",), {"north", "south"})
    assert column(table, "at").kind is Kind.TIME


def test_missing_values_are_a_bin_of_their_own(tables: Tables) -> None:
    holes = SALES.assign(
        price=SALES["price"].where(SALES.index % 5 > 0),
        shop=SALES["shop"].where(SALES.index % 5 > 0),
    )
    tables.before(t__parquet=SALES)
    tables.after(t__parquet=holes)
    for name in ("price", "shop"):
        found = column(tables.only(), name)
        assert found.level is Level.LARGE
        assert found.after.missing == pytest.approx(0.2)


def test_nan_and_infinity_count_as_missing(tables: Tables) -> None:
    tables.before(t__parquet=pa.table({"x": [1.0, 2.0]}))
    tables.after(t__parquet=pa.table({"x": [1.0, float("nan"), float("inf"), None]}))
    facts = column(tables.only(), "x").after
    assert isinstance(facts, NumberFacts)
    assert (facts.missing, facts.mean, facts.max) == (0.75, 1.0, 1.0)


def test_a_column_that_changed_its_type_is_told_and_not_compared(tables: Tables) -> None:
    tables.before(t__parquet=pa.table({"x": [1, 2], "y": pa.array([1, 2], pa.int32())}))
    tables.after(t__parquet=pa.table({"x": ["1", "2"], "y": pa.array([1, 2], pa.int64())}))
    table = tables.only()
    assert [(one.column, one.before, one.after) for one in table.schema] == [
        ("x", "BIGINT", "VARCHAR"),
        ("y", "INTEGER", "BIGINT"),
    ]
    assert [one.column for one in table.skipped] == ["x"]
    assert [one.name for one in table.columns] == ["y"]


def test_nested_columns_are_skipped_and_said_so(tables: Tables) -> None:
    nested = pa.table({"x": [1], "tags": [[1]], "where": [{"lat": 1.0}], "raw": [b"1"]})
    tables.before(t__parquet=nested)
    tables.after(t__parquet=nested.set_column(0, "x", pa.array([2])))
    skipped = {one.column: one.why for one in tables.only().skipped}
    assert skipped.keys() == {"tags", "where", "raw"}
    assert "nested" in skipped["where"]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_an_empty_table(tables: Tables, name: str, turned: bool) -> None:
    sides = [SALES, SALES.head(0)]
    old, new = reversed(sides) if turned else sides
    tables.before(**{name: old})
    tables.after(**{name: new})
    table = tables.only()
    assert {table.rows_before, table.rows_after} == {0, ROWS}
    assert table.schema == ()
    assert {one.level for one in table.columns} == {Level.UNKNOWN}
    assert len(table.columns) == 3


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_a_column_without_values(tables: Tables, name: str) -> None:
    tables.before(**{name: SALES.assign(price=None, shop=None)})
    tables.after(**{name: SALES.assign(shop=None)})
    table = tables.only()
    price, shop = column(table, "price"), column(table, "shop")
    assert (price.kind, price.level, price.before.missing) == (Kind.NUMBER, Level.LARGE, 1.0)
    assert isinstance(shop.after, CategoryFacts)
    assert (shop.after.missing, shop.after.distinct) == (1.0, 0)


def test_a_table_that_went_from_csv_to_parquet_is_compared(tables: Tables) -> None:
    tables.before(t__csv=SALES)
    tables.after(t__parquet=SALES.assign(shop="west"))
    table = tables.only()
    assert table.name == "t.csv to t.parquet"
    assert table.schema == ()
    assert table.columns[0].name == "shop"


def test_csv_and_parquet_of_one_name_are_two_tables(tables: Tables) -> None:
    tables.before(t__csv=SALES, t__parquet=SALES)
    tables.after(t__csv=SALES.head(1000), t__parquet=SALES.head(500))
    found = tables.diff().tables
    assert [(one.name, one.rows_after) for one in found] == [("t.csv", 1000), ("t.parquet", 500)]


BROKEN = {"t.parquet": b"PAR1 and then nothing", "t.csv": b"x,y\n1,2\n\xff\xfe,3\n"}


@pytest.mark.parametrize("content", [*BROKEN.values(), b""])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_named_and_keeps_no_other_from_being_compared(
    tables: Tables, name: str, content: bytes
) -> None:
    if name == "t.csv" and content.startswith(b"PAR1"):
        content = b'x,y\n1,2\n"3'
    tables.before(**{name: SALES, "u.csv": SALES})
    tables.after(**{name: content, "u.csv": SALES.head(10)})
    broken, whole = tables.diff().tables
    assert broken.unreadable is not None
    assert (broken.unreadable.error, broken.unreadable.exit_code) == ("table-broken", 6)
    assert broken.unreadable.context == f"on disk: {name}"
    assert "scratch" not in broken.unreadable.message
    assert broken.unreadable.hint
    assert whole.unreadable is None


def test_content_that_is_gone_is_told_and_the_files_are_listed(tables: Tables) -> None:
    tables.before(t__csv=SALES)
    tables.after(t__csv=SALES.head(3))
    tables.shop.store.home.rename(tables.folder.parent / "elsewhere")
    found = tables.diff()
    assert [one.name for one in found.comparison.files] == ["t.csv"]
    (table,) = found.tables
    assert table.unreadable is not None
    assert table.unreadable.error == "dataset-content-missing"


def test_names_that_look_like_globs_or_sql(tables: Tables) -> None:
    names = ["a[1]*.csv", "o'clock?.parquet"]
    odd = pd.DataFrame({'"; DROP TABLE x; --': [1.0, 2.0], "A": [1, 2], "place": ["x", "y"]})
    tables.before(**dict.fromkeys(names, odd), **{"a1z.csv": SALES})
    tables.after(**dict.fromkeys(names, odd.head(1)), **{"a1z.csv": SALES})
    found = tables.diff().tables
    assert [(one.name, one.rows_after, one.unreadable) for one in found] == [
        (name, 1, None) for name in names
    ]
    assert {one.name for one in found[0].columns} == set(odd.columns)


def test_files_that_match_are_one_table(tables: Tables) -> None:
    parts = {f"p/{n}.parquet": SALES.iloc[n * 1000 : (n + 1) * 1000] for n in range(2)}
    tables.before(**parts)
    tables.after(**parts, **{"p/2.csv": SALES.assign(price=0.0)})
    assert tables.diff().tables == ()
    table = tables.only("p/*")
    assert (table.rows_before, table.rows_after) == (ROWS, 2 * ROWS)
    assert table.columns[0].name == "price"
    with pytest.raises(NotFound) as caught:
        tables.diff("q/*")
    assert caught.value.reference == "tables-none-match"


def test_large_tables_are_sampled_and_the_sample_is_the_same_each_time(tables: Tables) -> None:
    many = pa.table({"x": np.random.default_rng(1).normal(size=400_000)})
    more = pa.table({"x": np.random.default_rng(2).normal(0.1, 1.0, size=300_000)})
    tables.before(t__parquet=many)
    tables.after(t__parquet=more)
    first = column(tables.only(), "x")
    assert isinstance(first.detail, Spread)
    assert first.detail.sampled == pytest.approx((100_000, 100_000), rel=0.02)
    assert first.detail.ks == pytest.approx(0.04, abs=0.01)
    assert column(tables.only(), "x") == first
    assert list((tables.folder.parents[1] / "scratch").iterdir()) == []
