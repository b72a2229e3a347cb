"""Expectations from what was seen."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from triune.core.expect_config import ColumnTable, ColumnType
from triune.data.expect.seen import ColumnSeen, TableSeen
from triune.data.expect.suggest import Suggestion, column_rules, suggested
from triune.data.expect.toml import text, value


def seen(name: str, rows: int = 10, **columns: ColumnType) -> TableSeen:
    found = {n: ColumnSeen(n, t, rows=rows, values=None) for n, t in columns.items()}
    return TableSeen(name, rows, found, {})


def patterns(*tables: TableSeen) -> list[str]:
    return [table.files for table in suggested("d", "v", tables).tables]


def test_files_of_a_folder_with_the_same_columns_are_one_table() -> None:
    one, two = (seen(name, x=ColumnType.INTEGER) for name in ("p/a.csv", "p/b.csv"))
    assert patterns(one, two) == ["p/*.csv"]
    assert patterns(one, two, seen("p/c.csv", x=ColumnType.FLOAT)) == [
        "p/a.csv", "p/b.csv", "p/c.csv",
    ]  # fmt: skip
    assert patterns(one, two, seen("p/q/c.csv", y=ColumnType.FLOAT))[0] == "p/a.csv"
    assert patterns(one, seen("p/b.parquet", x=ColumnType.INTEGER)) == ["p/a.csv", "p/b.parquet"]
    assert patterns(seen("x[1].csv")) == ["x[[]1].csv"]


def test_the_smallest_file_and_the_largest_share_set_the_rules() -> None:
    one, two = seen("a.csv", 10, x=ColumnType.FLOAT), seen("b.csv", 41, x=ColumnType.FLOAT)
    for table, share, low, high in ((one, 0.0, 1.0, 2.0), (two, 0.2, -1.0, 1.5)):
        column = table.columns["x"]
        column.null_share, column.holes = share, bool(share)
        column.min, column.max = low, high
    (table,) = suggested("d", "v", [one, two]).tables
    assert (table.files, table.min_rows) == ("*.csv", 5)
    assert table.columns["x"] == ColumnTable(
        type=ColumnType.FLOAT, max_null_share=0.31, min=-1.3, max=2.3
    )


@pytest.mark.parametrize(
    ("column", "rules"),
    [
        ({"type": ColumnType.INTEGER, "min": 1, "max": 1}, {"min": 0, "max": 2}),
        ({"type": ColumnType.INTEGER, "min": 1, "max": 9, "unique": True}, {"unique": True}),
        ({"type": ColumnType.FLOAT, "min": 0.0, "max": float("inf")}, {"min": 0.0}),
        ({"type": ColumnType.STRING, "values": {"a", "b"}}, {"one_of": ["a", "b"]}),
        ({"type": ColumnType.STRING, "values": set("abcdefghij")}, {}),
        ({"type": ColumnType.STRING, "values": {"a" * 200}}, {}),
        ({"type": ColumnType.BOOLEAN, "null_share": 1.0, "holes": True}, {"nullable": True}),
        ({"type": ColumnType.BOOLEAN, "null_share": 0.9, "holes": True}, {"nullable": True}),
    ],
)
def test_rules_of_a_column(column: dict[str, Any], rules: dict[str, Any]) -> None:
    found = column_rules(ColumnSeen("x", rows=40, **column))
    wanted = {"type": column["type"], "nullable": False} | rules
    assert found == ColumnTable.model_validate(wanted)


def test_a_table_without_rows_expects_types_alone() -> None:
    (table,) = suggested("d", "v", [seen("a.csv", 0, x=ColumnType.STRING)]).tables
    assert table.min_rows == 0
    assert table.columns["x"] == ColumnTable(type=ColumnType.STRING)


def test_odd_names_and_values_survive_the_way_through_toml() -> None:
    table = seen("a.csv", **{'q"\n.x': ColumnType.STRING})
    column = table.columns['q"\n.x']
    column.values, column.rows = {"\x7f\x00\u2028", "€\\"}, 99
    skipped = TableSeen("a.csv", 10, table.columns, {"li\nst": "list<x>: nested"})
    found: Suggestion = suggested("a/b", "dataset:a/b@1", [skipped])
    read = tomllib.loads(text(found))["datasets"]["a/b"]["expect"]
    assert read[0]["columns"]['q"\n.x']["one_of"] == sorted(["\x7f\x00\u2028", "€\\"])
    assert 'nothing is suggested for "li\\nst": list<x>: nested' in text(found)


@pytest.mark.parametrize("number", [0.1, 1e300, -5.0, 1e15, 123456789012345680.0, 2**60])
def test_numbers_survive_the_way_through_toml(number: float) -> None:
    assert tomllib.loads(f"x = {value(number)}")["x"] == number


def test_what_toml_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="no TOML for object"):
        value(object())
