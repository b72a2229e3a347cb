"""Holding one file against its expectations. Rules about single rows are pandera's."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.core.errors import Refused
from triune.core.expect_config import ColumnTable, ColumnType, ExpectTable
from triune.data.expect import tables
from triune.data.expect.model import Failure
from triune.data.globs import literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_EXAMPLES = 3


@dataclass
class _Tally:
    """What is counted over all batches of a file."""

    rows: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def file(path: Path, name: str, table: ExpectTable) -> tuple[int, list[Failure]]:
    """How many rows a file has, and every rule that does not hold."""
    try:
        return _file(path, name, table)
    except Refused as error:
        if error.reference != "table-broken":
            raise
        return 0, [Failure(name, "", error.message, 1, mend=error.hint or "")]


def _file(path: Path, name: str, table: ExpectTable) -> tuple[int, list[Failure]]:
    schema = tables.schema(path)
    failures = list(_shape(name, schema, table))
    mistyped = {one.column for one in failures}
    known = {c: t for c, t in table.columns.items() if c in schema.names and c not in mistyped}
    keys = [column for column in table.unique if column in schema.names]
    tally = _tally(path, known, keys)
    failures += _rows(name, tally.rows, table)
    for key, count in tally.broken.items():
        examples = tuple(tally.examples.get(key, ()))
        failures.append(Failure(name, *key, count, examples, "Mend the rows, or widen the rule."))
    for column, rule in known.items():
        share = tally.nulls[column] / max(tally.rows, 1)
        if rule.max_null_share is not None and share > rule.max_null_share:
            words = f"more than {rule.max_null_share:.2%} of its values are missing ({share:.2%})"
            failures.append(Failure(name, column, words, tally.nulls[column]))
    failures += _unique(path, name, table, keys)
    return tally.rows, failures


def _shape(name: str, schema: pa.Schema, table: ExpectTable) -> Iterator[Failure]:
    """Columns that are missing, unexpected or of another type."""
    for column, rule in table.columns.items():
        if column not in schema.names:
            if rule.required:
                yield Failure(name, column, "the column is missing", 1, mend="Add it.")
        elif rule.type is not None and not is_type(rule.type, schema.field(column).type):
            words = f"the column holds {schema.field(column).type}, not {rule.type.value}"
            yield Failure(name, column, words, 1, mend="Write it with its own type.")
    for column in table.unique:
        if column not in schema.names:
            yield Failure(name, column, "the column of the key is missing", 1, mend="Add it.")
    if table.closed:
        for column in schema.names:
            if column not in table.columns and column not in table.unique:
                yield Failure(name, column, "the column is not expected", 1, mend="List it.")


def is_type(wanted: ColumnType, found: pa.DataType) -> bool:
    """Whether a column of Arrow's type ``found`` holds what is wanted."""
    import pyarrow.types as t

    if t.is_dictionary(found):
        found = found.value_type
    kinds: dict[ColumnType, Callable[[pa.DataType], bool]] = {
        ColumnType.INTEGER: t.is_integer,
        ColumnType.FLOAT: t.is_floating,
        ColumnType.NUMBER: lambda one: t.is_integer(one) or t.is_floating(one) or t.is_decimal(one),
        ColumnType.STRING: lambda one: t.is_string(one) or t.is_large_string(one),
        ColumnType.BOOLEAN: t.is_boolean,
        ColumnType.TIMESTAMP: lambda one: t.is_timestamp(one) or t.is_date(one),
    }
    return kinds[wanted](found)


def _tally(path: Path, known: dict[str, ColumnTable], keys: list[str]) -> _Tally:
    tally = _Tally()
    columns = list(dict.fromkeys([*known, *keys])) or tables.schema(path).names[:1]
    rules = _schema(known)
    for batch in tables.batches(path, columns):
        frame = batch.to_pandas()
        frame.index = range(tally.rows, tally.rows + len(frame))
        for column in known:
            tally.nulls[column] += batch.column(column).null_count
        if rules is not None:
            _hold(frame, rules, tally)
        tally.rows += len(frame)
    return tally


def _schema(known: dict[str, ColumnTable]) -> Any:
    """pandera's schema for the rules about single rows; None without any."""
    pa = _pandera()
    columns = {}
    for name, rule in known.items():
        checks = []
        if rule.min is not None:
            checks.append(pa.Check.ge(rule.min, error=f"less than {rule.min:g}"))
        if rule.max is not None:
            checks.append(pa.Check.le(rule.max, error=f"greater than {rule.max:g}"))
        if rule.one_of:
            checks.append(pa.Check.isin(rule.one_of, error=f"none of {_listed(rule.one_of)}"))
        if rule.pattern is not None:
            whole = re.compile(rule.pattern)
            checks.append(
                pa.Check(
                    lambda text, whole=whole: bool(whole.fullmatch(str(text))),
                    element_wise=True,
                    error=f"does not match {rule.pattern}",
                )
            )
        if checks or not rule.nullable:
            columns[name] = pa.Column(checks=checks, nullable=rule.nullable)
    return pa.DataFrameSchema(columns) if columns else None


def _pandera() -> Any:
    """pandera, without what its import does to the environment for Spark's sake: pyarrow would
    take every zoned time for one in UTC."""
    before = dict(os.environ)
    import pandera.pandas

    for name in os.environ.keys() - before:
        del os.environ[name]
    return pandera.pandas


def _hold(frame: pd.DataFrame, rules: Any, tally: _Tally) -> None:
    from pandera.errors import SchemaErrors

    try:
        rules.validate(frame, lazy=True)
    except SchemaErrors as errors:
        for (column, check), found in errors.failure_cases.groupby(["column", "check"], sort=False):
            rule = "missing" if check == "not_nullable" else str(check)
            key = (str(column), rule)
            tally.broken[key] += len(found)
            shown = tally.examples.setdefault(key, [])
            for _, case in found.head(_EXAMPLES - len(shown)).iterrows():
                value = "" if rule == "missing" else f"{case['failure_case']} in "
                shown.append(f"{value}row {case['index']}")


def _rows(name: str, rows: int, table: ExpectTable) -> Iterator[Failure]:
    if rows < table.min_rows:
        yield Failure(name, "", f"fewer than {table.min_rows} rows", rows)
    if table.max_rows is not None and rows > table.max_rows:
        yield Failure(name, "", f"more than {table.max_rows} rows", rows)


def _unique(path: Path, name: str, table: ExpectTable, keys: list[str]) -> Iterator[Failure]:
    """Keys that occur twice, found by DuckDB over the whole file."""
    groups = [keys] if keys and len(keys) == len(table.unique) else []
    schema = set(tables.schema(path).names)
    groups += [[c] for c, rule in table.columns.items() if rule.unique and c in schema]
    for columns in groups:
        count, examples = twice(path, columns)
        if count:
            yield Failure(name, ", ".join(columns), "occurs more than once", count, examples)


def twice(path: Path, columns: list[str]) -> tuple[int, tuple[str, ...]]:
    """How many combinations of the columns' values occur more than once, and a few of them."""
    import duckdb

    names = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
    scan = "read_csv(?)" if path.suffix == ".csv" else "read_parquet(?)"
    text = (
        f"SELECT {names}, count(*) AS times FROM {scan} "  # noqa: S608  # quoted names
        f"GROUP BY {names} HAVING count(*) > 1 ORDER BY times DESC"
    )
    with duckdb.connect() as database:
        found = database.execute(text, [literal(str(path))]).fetchall()
    examples = tuple(", ".join(map(str, row[:-1])) for row in found[:_EXAMPLES])
    return len(found), examples


def _listed(values: tuple[object, ...]) -> str:
    shown = ", ".join(map(str, values[:5]))
    return shown if len(values) <= 5 else f"{shown}, ..."
