"""The index of runs: a table to sort and filter by, rebuilt at any time from what runs recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec

from triune.core.errors import Refused
from triune.ledger.backends.database import Cursor, Database, Row

_AT_ONCE = 500
_COLUMNS = ("id", "name", "status", "started", "finished", "model", "mlflow_id", "payload")
_ADD_RUN = (
    f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
)
_ADD_METRIC = "INSERT INTO run_metrics (run, key, value) VALUES (?, ?, ?)"
_ADD_PARAM = "INSERT INTO run_params (run, key, value) VALUES (?, ?, ?)"
_OPERATORS = {"=": "=", "==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class Field(StrEnum):
    """What a condition or an order looks at."""

    METRIC = "metric"
    PARAM = "param"
    ATTRIBUTE = "attribute"


ATTRIBUTES = ("id", "name", "status", "started", "finished", "model")


@dataclass(frozen=True, slots=True)
class Condition:
    """``field.key operator value``; operators: ``= != < <= > >=``. Parameters are text."""

    field: Field
    key: str
    operator: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by a metric, a parameter or an attribute; runs without it come last."""

    field: Field = Field.ATTRIBUTE
    key: str = "started"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class IndexedRun:
    """One run as the index knows it. Times are microseconds since 1970 UTC.

    A metric that is not a number cannot be compared and is left out of the index.
    """

    id: str
    name: str
    status: str
    started: int
    finished: int | None = None
    model: str | None = None
    mlflow_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


class RunIndex:
    """Reads and writes the tables ``runs``, ``run_metrics`` and ``run_params``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, *runs: IndexedRun) -> None:
        """Write runs with all their metrics and parameters, replacing what was known of them."""
        ids = [(run.id,) for run in runs]
        metrics = [
            (run.id, key, float(value))
            for run in runs
            for key, value in run.metrics.items()
            if not math.isnan(value)
        ]
        params = [(run.id, key, str(value)) for run in runs for key, value in run.params.items()]

        def work(cursor: Cursor) -> None:
            cursor.executemany(_ADD_RUN, [_row(run) for run in runs])
            cursor.executemany("DELETE FROM run_metrics WHERE run = ?", ids)
            cursor.executemany("DELETE FROM run_params WHERE run = ?", ids)
            if metrics:
                cursor.executemany(_ADD_METRIC, metrics)
            if params:
                cursor.executemany(_ADD_PARAM, params)

        if runs:
            self._database.write(work)

    def get(self, identifier: str) -> IndexedRun | None:
        """The run with this id."""
        wanted = Condition(Field.ATTRIBUTE, "id", "=", identifier)
        return next(iter(self.search([wanted], limit=1)), None)

    def search(
        self,
        conditions: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = 100,
        offset: int = 0,
    ) -> list[IndexedRun]:
        """Runs that meet every condition, sorted (newest first unless told otherwise).

        Raises
        ------
        Refused: ``run-filter-unknown``: an operator or attribute there is not.
        """
        where, parameters = _where(conditions)
        join, join_parameters, by = _order(order or Order())
        statement = (
            f"SELECT {', '.join('r.' + name for name in _COLUMNS)} FROM runs r{join}{where}"  # noqa: S608
            f" ORDER BY {by} LIMIT ? OFFSET ?"
        )
        most = limit if limit is not None else 2**62
        rows = self._database.rows(statement, (*join_parameters, *parameters, most, offset))
        ids = [str(row[0]) for row in rows]
        metrics = self._pairs("run_metrics", ids)
        params = self._pairs("run_params", ids)
        return [_run(row, metrics.get(row[0], {}), params.get(row[0], {})) for row in rows]

    def count(self, conditions: Sequence[Condition] = ()) -> int:
        """How many runs meet every condition."""
        where, parameters = _where(conditions)
        return int(self._database.rows(f"SELECT COUNT(*) FROM runs r{where}", parameters)[0][0])  # noqa: S608

    def keys(self, kind: Field) -> list[str]:
        """Every metric or parameter name there is, sorted."""
        statement = f"SELECT DISTINCT key FROM {_table(kind)} ORDER BY key"  # noqa: S608
        return [str(row[0]) for row in self._database.rows(statement)]

    def _pairs(self, table: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for some in _pieces(ids):
            marks = ", ".join("?" * len(some))
            statement = f"SELECT run, key, value FROM {table} WHERE run IN ({marks})"  # noqa: S608
            for run, key, value in self._database.rows(statement, some):
                found.setdefault(run, {})[key] = value
        return found


def _pieces(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _table(kind: Field) -> str:
    return "run_metrics" if kind is Field.METRIC else "run_params"


def _row(run: IndexedRun) -> Row:
    payload = msgspec.json.encode(run.payload).decode()
    return (
        run.id,
        run.name,
        run.status,
        run.started,
        run.finished,
        run.model,
        run.mlflow_id,
        payload,
    )


def _run(row: Row, metrics: Mapping[str, float], params: Mapping[str, str]) -> IndexedRun:
    payload = msgspec.json.decode(row[7])
    identifier, name, status, started, finished, model, mlflow_id = row[:7]
    return IndexedRun(
        identifier, name, status, started, finished, model, mlflow_id, payload, metrics, params
    )


def _where(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    terms: list[str] = []
    parameters: list[Any] = []
    for one in conditions:
        operator = _OPERATORS.get(one.operator)
        if operator is None:
            raise _unknown("operator", one.operator, list(_OPERATORS))
        if one.field is Field.ATTRIBUTE:
            terms.append(f"r.{_attribute(one.key)} {operator} ?")
            parameters.append(one.value)
            continue
        value = float(one.value) if one.field is Field.METRIC else str(one.value)
        terms.append(
            f"EXISTS (SELECT 1 FROM {_table(one.field)} c"  # noqa: S608
            f" WHERE c.run = r.id AND c.key = ? AND c.value {operator} ?)"
        )
        parameters += [one.key, value]
    return (" WHERE " + " AND ".join(terms) if terms else ""), parameters


def _order(order: Order) -> tuple[str, list[str], str]:
    direction = "DESC" if order.descending else "ASC"
    if order.field is Field.ATTRIBUTE:
        column, join, parameters = f"r.{_attribute(order.key)}", "", []
    else:
        column, parameters = "o.value", [order.key]
        join = f" LEFT JOIN {_table(order.field)} o ON o.run = r.id AND o.key = ?"
    missing_last = f"CASE WHEN {column} IS NULL THEN 1 ELSE 0 END"
    return join, parameters, f"{missing_last}, {column} {direction}, r.id {direction}"


def _attribute(name: str) -> str:
    if name not in ATTRIBUTES:
        raise _unknown("attribute", name, ATTRIBUTES)
    return name


def _unknown(noun: str, name: str, known: Sequence[str]) -> Refused:
    return Refused(
        "run-filter-unknown",
        f"runs cannot be filtered or sorted by the {noun} {name!r}",
        hint="Known: " + ", ".join(known),
    )
