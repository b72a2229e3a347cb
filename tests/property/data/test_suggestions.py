"""Whatever a table holds, what is suggested is valid and the table meets it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from triune.core.config import parse
from triune.data.expect import check
from triune.data.expect.seen import look
from triune.data.expect.suggest import suggested
from triune.data.expect.toml import text

ROWS = st.integers(0, 30)
TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.float64(), st.floats() | st.floats(-100.0, 100.0)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)),
    (pa.string(), st.sampled_from(["a", "b", 'q"']) | st.text(max_size=4)),
    (pa.bool_(), st.booleans()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.date32(), st.dates()),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["x", "y"])),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 3), max_size=2)),
    (pa.null(), st.none()),
]


@st.composite
def arrow(draw: st.DrawFn, count: int) -> pa.Table:
    rows = draw(ROWS)
    columns = {}
    for number in range(draw(st.integers(1, 4))):
        type_, one = draw(st.sampled_from(TYPES[:count]))
        values = draw(st.lists(one | st.none(), min_size=rows, max_size=rows))
        columns[draw(st.sampled_from(["", "a b", 'x"', "ü"])) + str(number)] = pa.array(
            values, type_
        )
    return pa.table(columns)


def meets(path: Path) -> None:
    seen = look(path, path.name)
    suggestion = suggested("d", "dataset:d@1", [seen])
    config: dict[str, Any] = {"workspace": {"name": "w"}, "datasets": {"d": {"path": "d"}}}
    config["datasets"]["d"] |= tomllib.loads(text(suggestion))["datasets"]["d"]
    (table,) = parse(config).datasets["d"].expect
    assert table == suggestion.tables[0]
    rows, failures = check.file(path, path.name, table)
    assert rows == seen.rows
    assert not failures, [str(one) for one in failures]


@settings(max_examples=80, deadline=None)
@given(arrow(len(TYPES)))
def test_a_parquet_table_meets_what_is_suggested_for_it(table: pa.Table) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        parquet.write_table(table, path)
        meets(path)


@settings(max_examples=40, deadline=None)
@given(arrow(6))
def test_a_csv_table_meets_what_is_suggested_for_it(table: pa.Table) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        csv.write_csv(table, path)
        meets(path)
