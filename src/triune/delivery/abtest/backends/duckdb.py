"""A test's sums computed anew from all facts of the ledger at once, by DuckDB.

Says the same as the stream, from the definitions alone: nothing here is incremental. Means and
covariances are of two passes with compensated sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from triune.delivery.abtest.cell import CellKey
from triune.delivery.abtest.facts import Odd, Period, Reader, Saw, Slot, Told, slots_of
from triune.delivery.abtest.model import Absent, Fold, Kind, Metric, Source
from triune.delivery.abtest.ports import Before, Log
from triune.delivery.abtest.tally import Tally
from triune.delivery.abtest.units import Book
from triune.ledger.ports import Query, Stored
from triune.stats.summary import Summary

_CHUNK = 100_000


@dataclass(frozen=True, slots=True)
class Exact:
    """The sums of all facts: as `triune.delivery.abtest.tally.Tally` has them."""

    exposed: Mapping[str, int]
    counts: Mapping[str, int]
    summaries: Mapping[CellKey, Summary]
    odd: Mapping[str, int] = field(default_factory=dict)
    read: int = 0
    first_at: int | None = None


def recomputed(
    log: Log,
    reader: Reader,
    period: Period,
    now: int,
    before: Before | None = None,
    *,
    upto: int | None = None,
) -> Exact:
    """Read the whole log, or its events up to a sequence, and compute everything."""
    with duckdb.connect() as database:
        work = _Work(database, reader, period, now)
        work.feed(log, upto)
        work.fold(before)
        return Exact(
            work.exposed(),
            work.counts(),
            work.summaries(),
            dict(work.odd),
            work.read,
            work.first_at(),
        )


def apart(tally: Tally, exact: Exact) -> float:
    """How far two sums are apart: the largest relative difference of a mean or covariance; infinite
    when a count is another one."""
    if dict(tally.exposed) != dict(exact.exposed) or dict(tally.counts) != dict(exact.counts):
        return float("inf")
    largest = 0.0
    for key, cell in tally.cells.items():
        mine, theirs = cell.summary(), exact.summaries[key]
        if mine.n != theirs.n:
            return float("inf")
        for one, other in ((mine.mean, theirs.mean), (mine.cov, theirs.cov)):
            size = np.maximum(np.maximum(np.abs(one), np.abs(other)), 1e-300)
            largest = max(largest, float((np.abs(one - other) / size).max(initial=0.0)))
    return largest


class _Work:
    def __init__(
        self, database: duckdb.DuckDBPyConnection, reader: Reader, period: Period, now: int
    ) -> None:
        self._database = database
        self._reader = reader
        self._period = period
        self._now = now
        self._slots = reader.slots
        self._metrics = reader.declaration.metrics
        self._variants = tuple(reader.declaration.shares)
        self.odd: Counter[str] = Counter()
        self.read = 0

    def feed(self, log: Log, upto: int | None) -> None:
        """Facts into tables, without those of another time."""
        numbers = "".join(f", s{at} DOUBLE" for at in range(len(self._slots)))
        self._database.execute(
            f"CREATE TABLE saw (unit VARCHAR, variant VARCHAR, t BIGINT, seq BIGINT{numbers},"
            " segments VARCHAR[]);"
            f"CREATE TABLE told (unit VARCHAR, key VARCHAR, t BIGINT, seq BIGINT{numbers})"
        )
        facts = self._facts(log, upto)
        while chunk := list(islice(facts, _CHUNK)):
            self._insert("saw", [fact for fact in chunk if isinstance(fact, Saw)])
            self._insert("told", [fact for fact in chunk if isinstance(fact, Told)])

    def _facts(self, log: Log, upto: int | None) -> Iterator[Saw | Told]:
        for stored in self._events(log, upto):
            self.read += 1
            for fact in self._reader.facts(stored):
                if isinstance(fact, Odd):
                    self.odd[fact.why] += 1
                elif self._counts(fact):
                    yield fact

    def _events(self, log: Log, upto: int | None) -> Iterator[Stored]:
        for kind in self._reader.kinds:
            for stored in log.select(Query(kind=kind)):
                if upto is not None and stored.sequence > upto:
                    break
                yield stored

    def _counts(self, fact: Saw | Told) -> bool:
        return self._period.counts(fact) and fact.at <= self._now

    def _insert(self, table: str, facts: Sequence[Saw] | Sequence[Told]) -> None:
        if not facts:
            return
        first, second, at, sequence, numbers = zip(*(fact[:5] for fact in facts), strict=True)
        columns = [pa.array(first), pa.array(second), pa.array(at), pa.array(sequence)]
        columns += [pa.array(column, pa.float64()) for column in zip(*numbers, strict=True)]
        names = ["a", "b", "c", "d", *(f"s{place}" for place in range(len(self._slots)))]
        if table == "saw":
            segments = [fact.segments for fact in facts if isinstance(fact, Saw)]
            columns.append(pa.array(segments, pa.list_(pa.string())))
            names.append("segments")
        chunk = pa.table(columns, names=names)
        self._database.register("chunk", chunk)
        self._database.execute(f"INSERT INTO {table} SELECT * FROM chunk")  # noqa: S608
        self._database.unregister("chunk")

    def fold(self, before: Before | None) -> None:
        """From facts to one row for each unit."""
        seen = ", ".join(_folds(self._slots, Source.EXPOSURE, "TRUE")) or "0 AS none"
        told = ", ".join(_folds(self._slots, Source.OUTCOME, "t < first + {window}")) or "0 AS no"
        self._database.execute(f"""
            CREATE TABLE firsts AS
              SELECT unit, variant, segments, t AS first FROM saw
              QUALIFY row_number() OVER (PARTITION BY unit ORDER BY t, seq) = 1;
            CREATE TABLE seen AS
              SELECT unit, count(*) AS sightings, count(DISTINCT variant) > 1 AS hopped, {seen}
              FROM saw GROUP BY unit;
            CREATE TABLE latest AS
              SELECT t.*, f.first FROM
                (SELECT * FROM told
                 QUALIFY row_number() OVER (PARTITION BY key ORDER BY seq DESC) = 1) t
              LEFT JOIN firsts f USING (unit);
            CREATE TABLE happened AS
              SELECT unit, {told} FROM latest WHERE t >= first GROUP BY unit;
            CREATE TABLE units AS
              SELECT f.unit, f.variant, f.segments, f.first, s.* EXCLUDE (unit), h.* EXCLUDE (unit)
              FROM firsts f JOIN seen s USING (unit) LEFT JOIN happened h USING (unit);
        """)  # noqa: S608
        self._look_back(before)

    def _look_back(self, before: Before | None) -> None:
        names = Book(self._metrics, self._slots).covariates
        columns = "".join(f", b{at} DOUBLE" for at in range(len(names)))
        self._database.execute(f"CREATE TABLE earlier (unit VARCHAR{columns})")
        if not names or before is None:
            return
        rows = self._database.execute("SELECT unit, first FROM units").fetchall()
        for start in range(0, len(rows), _CHUNK):
            values = before(dict(rows[start : start + _CHUNK]), names)
            marks = ", ".join("?" * (1 + len(names)))
            self._database.executemany(
                f"INSERT INTO earlier VALUES ({marks})",  # noqa: S608
                [[unit, *found] for unit, found in values.items()],
            )

    def exposed(self) -> dict[str, int]:
        """Units by the variant that they saw first."""
        rows = self._database.execute("SELECT variant, count(*) FROM units GROUP BY 1").fetchall()
        return dict.fromkeys(self._variants, 0) | dict(rows)

    def first_at(self) -> int | None:
        """The earliest exposure."""
        found: int | None = self._one("SELECT min(first) FROM units")[0]
        return found

    def counts(self) -> dict[str, int]:
        """What is counted of units and outcomes."""
        inside = " OR ".join(
            f"(s{at} IS NOT NULL AND t < first + {slot.window_us})"
            for at, slot in enumerate(self._slots)
            if slot.field.source is Source.OUTCOME
        )
        units = self._one(
            "SELECT count(*), count(*) FILTER (hopped), coalesce(sum(sightings - 1), 0) FROM units"
        )
        outcomes = self._one(f"""
            SELECT count(*) FILTER (t >= first AND ({inside or "FALSE"})),
                   count(*) FILTER (t < first),
                   count(*) FILTER (t >= first AND NOT ({inside or "FALSE"})),
                   count(*) FILTER (first IS NULL)
            FROM latest
        """)  # noqa: S608
        names = ("units", "hopped", "repeated", "joined", "early", "outside", "waiting")
        return dict(zip(names, map(int, (*units, *outcomes)), strict=True))

    def _one(self, query: str) -> tuple[Any, ...]:
        row = self._database.execute(query).fetchone()
        assert row is not None
        return tuple(row)

    def summaries(self) -> dict[CellKey, Summary]:
        """Number, means and covariances of each metric in each variant."""
        return {
            CellKey(metric.name, variant, segment): found
            for metric in self._metrics
            for variant, segment, found in self._metric(metric)
        }

    def _metric(self, metric: Metric) -> Iterator[tuple[str, str, Summary]]:
        value, below = (None if s is None else self._slots.index(s) for s in slots_of(metric))
        assert value is not None
        deciding = value if below is None else below
        absent = "TRUE" if metric.absent is Absent.ZERO else f"coalesce(n{deciding}, 0) > 0"
        columns = list(self._columns(metric, value, below))
        listed = ", ".join(f"{column} AS c{at}" for at, column in enumerate(columns))
        self._database.execute(f"""
            CREATE OR REPLACE TABLE rows AS
              SELECT variant, segments, {listed} FROM units LEFT JOIN earlier USING (unit)
              WHERE NOT hopped AND {absent}
        """)  # noqa: S608
        for segment in ("", *self._reader.declaration.labels):
            for variant in self._variants:
                yield variant, segment, self._summary(variant, segment, len(columns))

    def _columns(self, metric: Metric, value: int, below: int | None) -> Iterator[str]:
        found = f"coalesce(v{value}, 0)"
        if metric.kind is Kind.PROPORTION:
            found = f"CASE WHEN {found} <> 0 THEN 1.0 ELSE 0.0 END"
        else:
            low, high = metric.low, metric.high
            found = found if low is None else f"greatest({low!r}::DOUBLE, {found})"
            found = found if high is None else f"least({high!r}::DOUBLE, {found})"
        yield found
        if metric.kind is Kind.RATIO:
            yield f"coalesce(v{below}, 0)"
        if metric.covariate is None:
            return
        names = Book(self._metrics, self._slots).covariates
        yield f"coalesce(b{names.index(metric.covariate)}, 0)"
        if metric.kind is Kind.RATIO:
            other = metric.covariate_denominator
            yield "1.0" if other is None else f"coalesce(b{names.index(other)}, 0)"

    def _summary(self, variant: str, segment: str, width: int) -> Summary:
        inside = "FROM rows WHERE variant = ? AND (? = '' OR list_contains(segments, ?))"
        which = [variant, segment, segment]
        averages = ", ".join(f"favg(c{at})" for at in range(width))
        query = f"SELECT count(*), {averages} {inside}"
        row = self._database.execute(query, which).fetchone()
        assert row is not None
        n, mean = int(row[0]), np.array([value or 0.0 for value in row[1:]])
        cov = np.zeros((width, width))
        if n > 1:
            pairs = [(i, j) for i in range(width) for j in range(i, width)]
            products = ", ".join(f"fsum((c{i} - ?) * (c{j} - ?))" for i, j in pairs)
            values = [float(mean[place]) for pair in pairs for place in pair]
            query = f"SELECT {products} {inside}"
            found = self._database.execute(query, [*values, *which]).fetchone()
            assert found is not None
            for (i, j), total in zip(pairs, found, strict=True):
                cov[i, j] = cov[j, i] = total / (n - 1)
        return Summary(n, mean, cov)


def _folds(slots: Sequence[Slot], source: Source, within: str) -> Iterable[str]:
    """``v0 ... `` the folded values, ``n0 ...`` how many events there were."""
    for at, slot in enumerate(slots):
        if slot.field.source is not source:
            continue
        taken = f"s{at} IS NOT NULL AND {within.format(window=slot.window_us)}"
        folded = {
            Fold.SUM: f"fsum(s{at})",
            Fold.COUNT: f"count(s{at})",
            Fold.ANY: f"max(CASE WHEN s{at} <> 0 THEN 1.0 ELSE 0.0 END)",
            Fold.LAST: f"last(s{at} ORDER BY t, seq)",
        }[slot.field.fold]
        yield f"{folded} FILTER ({taken}) AS v{at}"
        yield f"count(*) FILTER ({taken}) AS n{at}"
