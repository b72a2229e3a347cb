"""The distributions of numbers and moments in both versions, counted by DuckDB.

Everything is of all rows, except the Kolmogorov-Smirnov distance: of more than ``SAMPLE`` rows
about that many are drawn, by a hash of their position. Both samples together then put it wrong by
less than 0.01 in 95 of 100 cases (Massart 1990). The index is over the deciles of the version
before, with bins of their own for what lies below and above all of it and for missing values.
"""

from __future__ import annotations

from math import ceil, floor, isfinite, nextafter
from typing import Any, NamedTuple

from triune.data.shift.levels import judged, rounded
from triune.data.shift.model import (
    ColumnShift,
    Histogram,
    Kind,
    NumberFacts,
    Spread,
    TimeFacts,
)
from triune.data.shift.schema import Matched
from triune.data.shift.sources import Column, Table

SAMPLE = 100_000
BINS = 20
LARGEST = "1e150"
"""Beyond it squares overflow: such values count as missing, as NaN and infinite ones do."""
_QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)
_DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_PARTS = 1_000_000
_EXACT = 2.0**52


class _Moments(NamedTuple):
    """What one query tells of a column."""

    rows: int
    present: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    quantiles: dict[float, float]


class _Bins(NamedTuple):
    """Upper ends of the bins of the index, and the even bins that are drawn."""

    upper: list[float]
    low: float
    width: float
    steps: int


class _Counts(NamedTuple):
    """Rows by bin: of the index, its last bin for missing ones; of the histogram."""

    deciles: list[int]
    drawn: list[int]


def shift(before: Table, after: Table, column: Matched) -> ColumnShift:
    """Compare a column of numbers or moments. Raises `Refused` (``table-broken``)."""
    old, new = (
        _moments(before, column.before, column.kind),
        _moments(after, column.after, column.kind),
    )
    bins = _bins(old, new, whole=_whole(column.before) and _whole(column.after))
    counted = (
        _counts(before, _value(column.before, column.kind), bins),
        _counts(after, _value(column.after, column.kind), bins),
    )
    spread = _spread(before, after, column, bins, counted)
    make = _number_facts if column.kind is Kind.NUMBER else _time_facts
    facts = make(old), make(new)
    same = facts[0] == facts[1] and counted[0] == counted[1] and not spread.ks
    moved = judged(counted[0].deciles, counted[1].deciles, same=same)
    return ColumnShift(
        column.after.name, column.kind, moved.level, moved.psi, moved.chance, *facts, spread
    )


def _value(column: Column, kind: Kind) -> str:
    """The column as a floating-point number, null where there is none."""
    if column.kind is Kind.EMPTY:
        return "NULL::DOUBLE"
    if kind is Kind.TIME:
        return f"epoch({column.id})"
    return f"CASE WHEN abs({column.id}::DOUBLE) < {LARGEST} THEN {column.id}::DOUBLE END"


def _moments(table: Table, column: Column, kind: Kind) -> _Moments:
    quantiles = f"quantile_cont(v, [{', '.join(map(str, _QUANTILES))}])"
    text = (
        f"SELECT count(*), count(v), avg(v), stddev_samp(v), min(v), max(v), {quantiles} "
        f"FROM (SELECT {_value(column, kind)} AS v FROM {table.view})"
    )
    ((rows, present, mean, std, low, high, found),) = table.ask(text)
    values = dict(zip(_QUANTILES, map(float, found), strict=True)) if present else {}
    return _Moments(rows, present, _maybe(mean), _maybe(std), low, high, values)


def _maybe(value: float | None) -> float | None:
    return rounded(value) if value is not None and isfinite(value) else None


def _whole(column: Column) -> bool:
    return (
        column.kind is Kind.EMPTY or column.type.endswith("INT") or column.type.endswith("INTEGER")
    )


def _bins(old: _Moments, new: _Moments, *, whole: bool) -> _Bins:
    upper: list[float] = []
    if old.min is not None and old.max is not None:
        deciles = {old.quantiles[q] for q in _DECILES} | {old.max}
        upper = [nextafter(old.min, float("-inf")), *sorted(deciles)]
    ends = [m.quantiles for m in (old, new) if m.present]
    low = min((q[0.01] for q in ends), default=0.0)
    high = max((q[0.99] for q in ends), default=1.0)
    return _Bins(upper, *(_whole_bins(low, high) if whole else _even_bins(low, high)))


def _even_bins(low: float, high: float) -> tuple[float, float, int]:
    if (high - low) / BINS <= max(abs(low), abs(high)) * 1e-13:
        half = max(0.5, abs(low) * 1e-6)
        low, high = low - half, high + half
    return low, (high - low) / BINS, BINS


def _whole_bins(low: float, high: float) -> tuple[float, float, int]:
    """Bins that hold equally many whole numbers, with those in the middle."""
    if max(abs(low), abs(high)) >= _EXACT:
        return _even_bins(low, high)
    first, numbers = floor(low), ceil(high) - floor(low) + 1
    width = ceil(numbers / BINS)
    return first - 0.5, float(width), ceil(numbers / width)


def _counts(table: Table, value: str, bins: _Bins) -> _Counts:
    """Both histograms in one pass."""
    place = " + ".join(["0", *("(v > ?)::INTEGER" for _ in bins.upper)])
    even = f"greatest(0, least({bins.steps - 1}, floor((v - ?) / ?)))::INTEGER"
    text = (
        f"SELECT v IS NULL, {place} AS p, {even} AS e, count(*) "
        f"FROM (SELECT {value} AS v FROM {table.view}) GROUP BY ALL"
    )
    last = len(bins.upper) + 1
    deciles, drawn = [0] * (last + 1), [0] * bins.steps
    for missing, at, even_at, count in table.ask(text, [*bins.upper, bins.low, bins.width]):
        if missing:
            deciles[last] += count
        else:
            deciles[at] += count
            drawn[even_at] += count
    return _Counts(deciles, drawn)


def _spread(
    before: Table, after: Table, column: Matched, bins: _Bins, counted: tuple[_Counts, _Counts]
) -> Spread:
    from triune.stats.kolmogorov_smirnov import compare

    old = _sample(before, _value(column.before, column.kind))
    new = _sample(after, _value(column.after, column.kind))
    sampled = (len(old), len(new))
    histogram = None
    if any(sampled):
        edges = tuple(bins.low + place * bins.width for place in range(bins.steps + 1))
        histogram = Histogram(edges, tuple(counted[0].drawn), tuple(counted[1].drawn))
    if not all(sampled):
        return Spread(histogram, None, None, sampled)
    found = compare(old, new)
    return Spread(histogram, rounded(found.d), rounded(found.p), sampled)


def _sample(table: Table, value: str) -> Any:
    share = -(-SAMPLE * _PARTS // max(table.rows, SAMPLE))
    return table.numbers(
        f"SELECT v FROM (SELECT {value} AS v, place FROM {table.view}) "
        f"WHERE v IS NOT NULL AND place % {_PARTS} < {share}"
    )


def _missing(moments: _Moments) -> float | None:
    return 1.0 - moments.present / moments.rows if moments.rows else None


def _number_facts(moments: _Moments) -> NumberFacts:
    quantiles = (moments.quantiles.get(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95))
    p05, p25, p50, p75, p95 = quantiles
    return NumberFacts(
        count=moments.rows, missing=_missing(moments), mean=moments.mean, std=moments.std,
        min=moments.min, p05=p05, p25=p25, p50=p50, p75=p75, p95=p95, max=moments.max,
    )  # fmt: skip


def _time_facts(moments: _Moments) -> TimeFacts:
    return TimeFacts(moments.rows, _missing(moments), _iso(moments.min), _iso(moments.max))


def _iso(seconds: float | None) -> str | None:
    """A moment as text, to the microsecond; numpy's years have no end."""
    import numpy as np

    if seconds is None:
        return None
    text = str(np.datetime64(round(seconds * 1e6), "us"))
    return f"{text.removesuffix('.000000')}Z"
