"""What to expect of tables, from what they hold today. Pure.

Files of one folder and format with the same columns are expected the same. A rule is only made from
what every file of them holds, and leaves room: numbers a tenth of their range on either side (none
beyond zero), missing values half as many again and a hundredth, rows half as many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log10
from pathlib import PurePosixPath

from triune.core.expect_config import ColumnTable, ColumnType, ExpectTable
from triune.data.expect.seen import ColumnSeen, TableSeen, bounded
from triune.data.globs import literal

MARGIN = 0.1
ROWS_FOR_A_VALUE = 10
"""A text with fewer rows for each of its values is no category."""
_LONGEST = 100
_LARGEST = 1e300
_NUMBERS = {ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.NUMBER}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Expectations of a dataset's tables; ``skipped`` names columns and says why, by pattern."""

    name: str
    version: str
    files: int
    rows: int
    tables: tuple[ExpectTable, ...]
    skipped: dict[str, dict[str, str]]


def suggested(name: str, version: str, seen: Sequence[TableSeen]) -> Suggestion:
    """Expectations that all the tables seen meet."""
    groups = list(_grouped(seen))
    return Suggestion(
        name,
        version,
        files=len(seen),
        rows=sum(one.rows for one in seen),
        tables=tuple(_table(pattern, group) for pattern, group in groups),
        skipped={pattern: group[0].skipped for pattern, group in groups if group[0].skipped},
    )


def _grouped(seen: Sequence[TableSeen]) -> Iterable[tuple[str, list[TableSeen]]]:
    """Files by the pattern that means them and no other."""
    folders: dict[tuple[str, str], list[TableSeen]] = defaultdict(list)
    for one in seen:
        path = PurePosixPath(one.name)
        folders[str(path.parent), path.suffix].append(one)
    for (folder, suffix), group in folders.items():
        if len(group) > 1 and len({_shape(one) for one in group}) == 1 and _alone(folder, folders):
            inside = "" if folder == "." else f"{literal(folder)}/"
            yield f"{inside}*{suffix}", group
        else:
            yield from ((literal(one.name), [one]) for one in group)


def _alone(folder: str, folders: Iterable[tuple[str, str]]) -> bool:
    """Whether no table lies in a folder below: a glob's ``*`` also matches what lies deeper."""
    above = "" if folder == "." else f"{folder}/"
    return not any(other != folder and other.startswith(above) for other, _ in folders)


def _shape(table: TableSeen) -> tuple[object, ...]:
    columns = ((name, column.type) for name, column in table.columns.items())
    return (*columns, *table.skipped)


def _table(pattern: str, group: Sequence[TableSeen]) -> ExpectTable:
    columns: dict[str, ColumnSeen] = {}
    for table in group:
        for name, column in table.columns.items():
            if name in columns:
                columns[name].merge(column)
            else:
                columns[name] = replace(column)
    fewest = min(table.rows for table in group)
    return ExpectTable(
        files=pattern,
        min_rows=ceil(fewest / 2),
        columns={name: column_rules(column) for name, column in columns.items()},
    )


def column_rules(column: ColumnSeen) -> ColumnTable:
    """What is expected of a column."""
    low, high = _range(column)
    return ColumnTable(
        type=column.type,
        nullable=column.holes or not column.rows,
        max_null_share=_null_share(column.null_share),
        unique=column.unique,
        min=low,
        max=high,
        one_of=_values(column),
    )


def _null_share(share: float) -> float | None:
    if not 0.0 < share < 1.0:
        return None
    allowed = ceil(_tidy(100 * (share * 1.5 + 0.01))) / 100
    return allowed if allowed < 1.0 else None


def _range(column: ColumnSeen) -> tuple[float | None, float | None]:
    low, high = bounded(column.min), bounded(column.max)
    if column.type not in _NUMBERS or column.unique:
        return None, None
    if low is None or high is None:
        return low, high
    below, above = with_margin(low, high)
    if column.type is not ColumnType.INTEGER or below is None or above is None:
        return below, above
    return float(floor(below)), float(ceil(above))


def with_margin(low: float, high: float) -> tuple[float | None, float | None]:
    """Room on either side, rounded outward, and none beyond zero; None where there is no number.

    >>> with_margin(1.0, 31.0), with_margin(-2.0, 3.0), with_margin(7.0, 7.0)
    ((0.0, 34.0), (-2.5, 3.5), (6.3, 7.7))
    """
    margin = MARGIN * (high - low) or MARGIN * abs(high) or 1.0
    if max(abs(low), abs(high)) > _LARGEST:
        return None, None
    step = 10.0 ** floor(log10(margin))
    below = _tidy(floor(_tidy((low - margin) / step)) * step) if step else low
    above = _tidy(ceil(_tidy((high + margin) / step)) * step) if step else high
    below = max(below, 0.0) if low >= 0.0 else below
    above = min(above, 0.0) if high <= 0.0 else above
    return bounded(min(below, low)), bounded(max(above, high))


def _tidy(value: float) -> float:
    return float(f"{value:.12g}")


def _values(column: ColumnSeen) -> tuple[str, ...]:
    if column.type is not ColumnType.STRING or not column.values:
        return ()
    if column.rows < ROWS_FOR_A_VALUE * len(column.values):
        return ()
    return () if any(len(one) > _LONGEST for one in column.values) else tuple(sorted(column.values))
