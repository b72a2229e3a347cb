"""What a table's columns hold today, read in batches as the check reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.core.expect_config import ColumnType
from triune.data.expect import tables
from triune.data.expect.check import is_type, twice

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 20
"""A column of more different texts is no category."""
LEAST_KEYS = 100
"""Fewer rows without a repeated value say nothing about a key."""


@dataclass
class ColumnSeen:
    """What was seen of a column.

    ``type`` is None when it holds nothing that can be named; ``holes``: whether any value is
    missing or NaN; ``null_share``: the largest share of nulls in a file; ``values``: its different
    texts, None when they are many.
    """

    name: str
    type: ColumnType | None
    rows: int = 0
    holes: bool = False
    null_share: float = 0.0
    min: float | None = None
    max: float | None = None
    values: set[str] | None = field(default_factory=set)
    unique: bool = False

    def merge(self, other: ColumnSeen) -> None:
        """Add what was seen of the same column in another file."""
        self.rows += other.rows
        self.holes |= other.holes
        self.null_share = max(self.null_share, other.null_share)
        self.min = _pick(min, self.min, other.min)
        self.max = _pick(max, self.max, other.max)
        self.values = _joined(self.values, other.values)
        self.unique &= other.unique


@dataclass(frozen=True, slots=True)
class TableSeen:
    """What was seen of a file; ``skipped``: columns of which nothing is expected, and why."""

    name: str
    rows: int
    columns: dict[str, ColumnSeen]
    skipped: dict[str, str]


def look(path: Path, name: str) -> TableSeen:
    """Read a whole file. Raises `Refused` (``table-broken``)."""
    schema = tables.schema(path)
    skipped = dict(_skipped(schema))
    columns = {
        one.name: ColumnSeen(one.name, _type(one.type)) for one in schema if one.name not in skipped
    }
    rows = _read(path, columns, schema.names)
    for column in columns.values():
        column.unique = column.unique and not twice(path, [column.name])[0]
    return TableSeen(name, rows, columns, skipped)


def _skipped(schema: pa.Schema) -> list[tuple[str, str]]:
    import pyarrow.types as t

    times = Counter(schema.names)
    found = []
    for one in schema:
        if times[one.name] > 1:
            found.append((one.name, "several columns have this name"))
        elif t.is_nested(one.type):
            found.append((one.name, f"{one.type}: nested"))
        elif _type(one.type) is None and not t.is_null(one.type):
            found.append((one.name, f"{one.type}: no rule knows this type"))
    return found


def _type(found: pa.DataType) -> ColumnType | None:
    named = (one for one in ColumnType if one is not ColumnType.NUMBER and is_type(one, found))
    number = ColumnType.NUMBER if is_type(ColumnType.NUMBER, found) else None
    return next(named, number)


def _read(path: Path, columns: dict[str, ColumnSeen], names: list[str]) -> int:
    """Fill in the columns; returns the number of rows."""
    rows, nulls = 0, Counter[str]()
    for batch in tables.batches(path, list(columns) or names[:1]):
        for name, column in columns.items():
            values = batch.column(name)
            nulls[name] += values.null_count
            if not rows:
                column.unique = _may_be_key(column, values)
            _add(column, values)
        rows += batch.num_rows
    for name, column in columns.items():
        column.rows = rows
        column.holes |= bool(nulls[name])
        column.null_share = nulls[name] / rows if rows else 0.0
        column.unique = column.unique and rows >= LEAST_KEYS and not column.holes
    return rows


def _may_be_key(column: ColumnSeen, values: Any) -> bool:
    import pyarrow.compute as pc

    if column.type not in {ColumnType.INTEGER, ColumnType.STRING} or values.null_count:
        return False
    return bool(pc.count_distinct(_plain(values)).as_py() == len(values))


def _add(column: ColumnSeen, values: Any) -> None:
    import pyarrow.compute as pc

    plain = _plain(values)
    match column.type:
        case ColumnType.INTEGER | ColumnType.FLOAT | ColumnType.NUMBER:
            if column.type is ColumnType.FLOAT:
                nan = pc.is_nan(plain)
                column.holes |= bool(pc.any(nan).as_py())
                plain = plain.filter(pc.invert(pc.fill_null(nan, True)))
            ends = pc.min_max(plain).as_py()
            column.min = _pick(min, column.min, _number(ends["min"]))
            column.max = _pick(max, column.max, _number(ends["max"]))
        case ColumnType.STRING if column.values is not None:
            found = pc.unique(plain.drop_null())
            texts = set(found.to_pylist()) if len(found) <= MOST_VALUES else None
            column.values = _joined(column.values, texts)
        case _:
            pass


def _plain(values: Any) -> Any:
    import pyarrow as pa

    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _pick(choose: Any, one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return choose(known) if known else None


def _joined(one: set[str] | None, other: set[str] | None) -> set[str] | None:
    if one is None or other is None or len(one | other) > MOST_VALUES:
        return None
    return one | other


def bounded(value: float | None) -> float | None:
    """The value, unless it is infinite."""
    return value if value is not None and isfinite(value) else None
