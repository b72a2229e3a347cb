"""The distributions of categories in both versions, counted by DuckDB over all rows."""

from __future__ import annotations

from collections.abc import Sequence

from triune.data.shift.levels import judged
from triune.data.shift.model import (
    CategoryFacts,
    ColumnShift,
    Kind,
    Shares,
    ValueShare,
)
from triune.data.shift.schema import Matched
from triune.data.shift.sources import Column, Table

TOP = 8
"""So many values are counted by themselves, all others together."""
NAMED = 5
LEAST_SHARE, LEAST_ROWS = 0.01, 5
"""In either version a value needs both for a bin of its own in the index."""
_Row = tuple[str, int, int]
_LISTED = "SELECT v, b, a FROM compared"
_ORDER = "ORDER BY greatest(b / greatest(?, 1), a / greatest(?, 1)) DESC, v"


def shift(before: Table, after: Table, column: Matched) -> ColumnShift:
    """Compare a column of categories. Raises `Refused` (``table-broken``)."""
    present = _count(before, column.before), _count(after, column.after)
    before.database.execute(
        "CREATE OR REPLACE TEMP TABLE compared AS SELECT coalesce(b.v, a.v) AS v, "
        "coalesce(b.n, 0) AS b, coalesce(a.n, 0) AS a "
        "FROM counted_before b FULL JOIN counted_after a ON b.v = a.v"
    )
    shares, top = _shares(before, after, present)
    facts = _facts(before, present[0]), _facts(after, present[1])
    own = [row for row in top if _of_its_own(row, (before.rows, after.rows))]
    counts = (
        _binned([old for _, old, _ in own], present[0], before.rows),
        _binned([new for _, _, new in own], present[1], after.rows),
    )
    same = facts[0] == facts[1] and counts[0] == counts[1]
    same = same and not shares.new_count and not shares.vanished_count
    moved = judged(*counts, same=same)
    return ColumnShift(
        column.after.name, Kind.CATEGORY, moved.level, moved.psi, moved.chance, *facts, shares
    )


def _count(table: Table, column: Column) -> int:
    """Count each value of a side; how many rows have one."""
    value = "NULL::VARCHAR" if column.kind is Kind.EMPTY else f"{column.id}::VARCHAR"
    table.ask(
        f"CREATE OR REPLACE TEMP TABLE counted_{table.view} AS SELECT v, count(*) AS n "
        f"FROM (SELECT {value} AS v FROM {table.view}) WHERE v IS NOT NULL GROUP BY v"
    )
    ((present,),) = table.ask(f"SELECT coalesce(sum(n), 0) FROM counted_{table.view}")
    return int(present)


def _shares(before: Table, after: Table, present: tuple[int, int]) -> tuple[Shares, list[_Row]]:
    rows = [before.rows, after.rows]
    top: list[_Row] = [
        (value, old, new) for value, old, new in before.ask(f"{_LISTED} {_ORDER} LIMIT {TOP}", rows)
    ]
    new = before.ask(f"{_LISTED} WHERE b = 0 {_ORDER} LIMIT {NAMED}", rows)
    gone = before.ask(f"{_LISTED} WHERE a = 0 {_ORDER} LIMIT {NAMED}", rows)
    ((new_count, gone_count),) = before.ask(
        "SELECT count(*) FILTER (b = 0), count(*) FILTER (a = 0) FROM compared"
    )
    rest_before = present[0] - sum(old for _, old, _ in top)
    rest_after = present[1] - sum(new for _, _, new in top)
    shares = Shares(
        top=tuple(_share(value, b, a, rows) for value, b, a in top),
        rest=_share("", rest_before, rest_after, rows),
        new=tuple(row[0] for row in new),
        new_count=new_count,
        vanished=tuple(row[0] for row in gone),
        vanished_count=gone_count,
    )
    return shares, top


def _share(value: str, before: int, after: int, rows: Sequence[int]) -> ValueShare:
    old, new = (n / all_ if all_ else None for n, all_ in zip((before, after), rows, strict=True))
    return ValueShare(value, old, new)


def _facts(table: Table, present: int) -> CategoryFacts:
    ((distinct,),) = table.ask(f"SELECT count(*) FROM counted_{table.view}")
    missing = 1.0 - present / table.rows if table.rows else None
    return CategoryFacts(table.rows, missing, int(distinct))


def _of_its_own(row: _Row, rows: tuple[int, int]) -> bool:
    """Whether a value is common enough for a bin of the index: rare ones come and go by chance."""
    _, old, new = row
    common = old >= LEAST_SHARE * rows[0] or new >= LEAST_SHARE * rows[1]
    return common and max(old, new) >= LEAST_ROWS


def _binned(top: Sequence[int], present: int, rows: int) -> list[int]:
    """The values, the rest, the missing ones."""
    return [*top, present - sum(top), rows - present]
