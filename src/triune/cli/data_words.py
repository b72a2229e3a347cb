"""What changed in a column, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from triune.data.shift.model import (
    CategoryFacts,
    ColumnShift,
    NumberFacts,
    SchemaChange,
    SchemaKind,
    Shares,
    Spread,
    TimeFacts,
)

ARROW = "→"
_LONGEST = 24
_VALUES = 3
_T = TypeVar("_T")


def what(column: ColumnShift) -> str:
    """The differences of a column, the most telling first; empty when nothing differs."""
    return "; ".join(_what(column))


def _what(column: ColumnShift) -> Iterator[str]:
    yield from _pair("missing", column.before.missing, column.after.missing, percent)
    match column.before, column.after:
        case NumberFacts() as old, NumberFacts() as new:
            yield from _pair("mean", old.mean, new.mean, number)
            yield from _pair("std", old.std, new.std, number)
            yield from _pair("median", old.p50, new.p50, number)
            yield from _pair("range", _range(old.min, old.max), _range(new.min, new.max), str)
        case TimeFacts() as first, TimeFacts() as last:
            yield from _pair("from", first.min, last.min, moment)
            yield from _pair("to", first.max, last.max, moment)
        case CategoryFacts() as was, CategoryFacts() as now:
            yield from _pair("values", was.distinct, now.distinct, number)
    if isinstance(column.detail, Shares):
        yield from _shares(column.detail)


def _pair(
    name: str, before: _T | None, after: _T | None, words: Callable[[_T], str]
) -> Iterator[str]:
    old, new = ("none" if one is None else words(one) for one in (before, after))
    if old != new:
        yield f"{name} {old} {ARROW} {new}"


def _range(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{number(low)} to {number(high)}"


def _shares(detail: Shares) -> Iterator[str]:
    for word, values, count in (
        ("new", detail.new, detail.new_count),
        ("gone", detail.vanished, detail.vanished_count),
    ):
        if count:
            yield f"{word}: {_listed(values, count)}"
    moved = sorted(detail.top, key=lambda one: -abs((one.after or 0.0) - (one.before or 0.0)))
    for one in moved[:_VALUES]:
        if one.before and one.after:
            yield from _pair(short(one.value), one.before, one.after, percent)


def _listed(values: Sequence[str], count: int) -> str:
    shown = ", ".join(short(value) for value in values[:_VALUES])
    left = count - min(len(values), _VALUES)
    return f"{shown} and {left} more" if left else shown


def schema(change: SchemaChange) -> str:
    """A change of the columns: what to say of it."""
    match change.change:
        case SchemaKind.ADDED:
            return f"new column, {change.after}"
        case SchemaKind.REMOVED:
            return f"column gone, was {change.before}"
        case SchemaKind.RETYPED:
            return f"type {change.before} {ARROW} {change.after}"


def distance(column: ColumnShift) -> float | None:
    """The Kolmogorov-Smirnov distance, where there is one."""
    return column.detail.ks if isinstance(column.detail, Spread) else None


def number(value: float) -> str:
    """Four digits, whole numbers whole.

    >>> number(3.14159), number(12345678), number(1234.0)
    ('3.142', '1.235e+07', '1234')
    """
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A share in percent.

    >>> percent(0.0), percent(0.1234), percent(0.00004)
    ('0 %', '12.3 %', '0.004 %')
    """
    return f"{100 * share:.3g} %"


def moment(iso: str) -> str:
    """A moment to the second, a midnight as its day.

    >>> moment("2024-01-01T00:00:00Z"), moment("2024-01-01T10:00:00.123456Z")
    ('2024-01-01', '2024-01-01 10:00:00')
    """
    text = iso.removesuffix("Z").partition(".")[0]
    return text.removesuffix("T00:00:00").replace("T", " ")


def short(value: str) -> str:
    """A value of a table in one line, cut where it is long."""
    line = "".join(letter if letter.isprintable() else " " for letter in value)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
