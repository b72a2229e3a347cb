"""Point-in-time joins and newest values, computed by DuckDB straight from the files.

A row of a view counts for a moment when its event time is at or before it and, with a time to
live, at most that long before it. Among them the latest event time wins, then the latest created
time, then the row that comes last in the file. Every entity row is kept, in its order; where
nothing counts its features are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from triune.core.errors import Refused

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MISSING = "feature-source-missing"
BROKEN = "feature-source-broken"


@dataclass(frozen=True, slots=True)
class Source:
    """The table of one view.

    Attributes
    ----------
    path: a Parquet or CSV file, or a glob of Parquet files
    time, created: columns with the event time and the created time; times without a zone are UTC
    keys: column of the table -> column of the entity rows
    features: column of the table -> name in the result
    ttl_ns: how long before a moment a row may lie; 0 for any time
    """

    path: str
    time: str
    keys: Mapping[str, str]
    features: Mapping[str, str]
    created: str | None = None
    ttl_ns: int = 0


def join(entities: pd.DataFrame, moment: str, sources: Sequence[Source]) -> pd.DataFrame:
    """The entity rows with the features of every source as they were known at each moment.

    ``moment`` names the column with the moments; its values and the index stay as they are.

    Raises
    ------
    Refused: ``feature-source-missing``, ``feature-source-broken`` (a column or type does not
        fit, the file cannot be read), ``feature-entities-unfit``.
    """
    import pandas as pd

    asked = _asked(entities, moment, sources)
    frames = []
    with _database() as database:
        database.register("asked", asked)
        for source in sources:
            with _explained(source):
                text, values = _asof(source)
                table = database.sql(text, params=values).to_arrow_table()
            frames.append(table.to_pandas().set_axis(entities.index))
    joined: pd.DataFrame = pd.concat([entities, *frames], axis="columns")
    return joined


def joining(sources: Sequence[Mapping[str, Any]]) -> Callable[[pd.DataFrame, str], pd.DataFrame]:
    """`join` of sources given as plain values, for processes that know nothing of the store."""
    known = [Source(**source) for source in sources]
    return lambda entities, moment: join(entities, moment, known)


def latest(source: Source, start: datetime | None = None, end: datetime | None = None) -> pa.Table:
    """The newest row of each entity with an event time from ``start`` to ``end``, both included.

    Columns: the keys, the features, ``event_us`` and ``created_us`` (microseconds since 1970;
    null without a created time).
    """
    return _select(source, start, end, newest=True)


def everything(
    source: Source, start: datetime | None = None, end: datetime | None = None
) -> pa.Table:
    """Every row in that time, as `latest` gives it."""
    return _select(source, start, end, newest=False)


def _asked(entities: pd.DataFrame, moment: str, sources: Sequence[Source]) -> pd.DataFrame:
    import pandas as pd

    wanted = dict.fromkeys(key for source in sources for key in source.keys.values())
    missing = [name for name in (moment, *wanted) if name not in entities.columns]
    if missing:
        raise Refused(
            "feature-entities-unfit",
            f"the entity rows lack {', '.join(missing)}",
            context=f"they have {', '.join(map(str, entities.columns))}",
            hint="Give a column for each join key, and one with the moments.",
        )
    try:
        at = pd.to_datetime(entities[moment], utc=True).dt.as_unit("ns")
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused(
            "feature-entities-unfit",
            f"{moment} does not hold times: {error}",
            hint="Write times such as 2026-01-31T12:00:00Z.",
        ) from error
    if at.isna().any():
        raise Refused(
            "feature-entities-unfit",
            f"{moment} is missing in {int(at.isna().sum())} rows",
            hint="Leave out rows that have no moment.",
        )
    asked = entities[list(wanted)].reset_index(drop=True)
    return asked.assign(__at=at.astype("int64").to_numpy(), __row=range(len(asked)))


def _asof(source: Source) -> tuple[str, list[Any]]:
    """One ASOF join. Ties are broken before it, and only where there can be any."""
    keys = {_name(column): _name(asked) for column, asked in source.keys.items()}
    on = [f"asked.{asked} = known.{column}" for column, asked in keys.items()]
    features = [
        f"CASE WHEN asked.__at - known.__time <= ? THEN known.{_name(c)} END AS {_name(name)}"
        if source.ttl_ns
        else f"known.{_name(c)} AS {_name(name)}"
        for c, name in source.features.items()
    ]
    columns = dict.fromkeys([*keys, *map(_name, source.features)])
    text = (
        f"WITH known AS ({_known(source, list(columns), list(keys))}) "  # noqa: S608
        f"SELECT {', '.join(features)} FROM asked "
        f"ASOF LEFT JOIN known ON {' AND '.join([*on, 'asked.__at >= known.__time'])} "
        "ORDER BY asked.__row"
    )
    limits = [source.ttl_ns] * len(features) if source.ttl_ns else []
    return text, [source.path, *limits]


def _known(source: Source, columns: Sequence[str], keys: Sequence[str]) -> str:
    """The source's rows, of those with the same keys and event time the one that wins."""
    within = ", ".join([*keys, "__time"])
    created = f"{_name(source.created)} DESC NULLS LAST, " if source.created else ""
    return (
        f"SELECT {', '.join(columns)}, epoch_ns({_name(source.time)}) AS __time "  # noqa: S608
        f"FROM {_scan(source)} WHERE {_name(source.time)} IS NOT NULL QUALIFY row_number() OVER "
        f"(PARTITION BY {within} ORDER BY {created}file_row_number DESC) = 1"
    )


def _select(
    source: Source, start: datetime | None, end: datetime | None, *, newest: bool
) -> pa.Table:
    time = f"epoch_ns({_name(source.time)}) // 1000"
    created = f"epoch_ns({_name(source.created)}) // 1000" if source.created else "NULL::BIGINT"
    keys = [f"{_name(column)} AS {_name(name)}" for column, name in source.keys.items()]
    features = [f"{_name(column)} AS {_name(name)}" for column, name in source.features.items()]
    limits = [(">=", start), ("<=", end)]
    where = [f"{_name(source.time)} IS NOT NULL"]
    where += [f"{time} {sign} ?" for sign, limit in limits if limit is not None]
    text = (
        f"SELECT {', '.join([*keys, *features])}, {time} AS event_us, {created} AS created_us "  # noqa: S608
        f"FROM {_scan(source)} WHERE {' AND '.join(where)}"
    )
    if newest:
        within = ", ".join(map(_name, source.keys)) or "1"
        order = "event_us DESC, created_us DESC NULLS LAST, file_row_number DESC"
        text += f" QUALIFY row_number() OVER (PARTITION BY {within} ORDER BY {order}) = 1"
    times = [_microseconds(limit) for _, limit in limits if limit is not None]
    with _database() as database, _explained(source):
        return database.sql(text, params=[source.path, *times]).to_arrow_table()


def _scan(source: Source) -> str:
    if source.path.endswith((".csv", ".csv.gz")):
        return (
            "(SELECT *, row_number() OVER () AS file_row_number FROM read_csv(?, parallel=false))"
        )
    return "read_parquet(?, file_row_number=true)"


def _microseconds(moment: datetime) -> int:
    from datetime import UTC

    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def _name(column: str | None) -> str:
    """A column's name, quoted."""
    return '"' + str(column).replace('"', '""') + '"'


@contextmanager
def _database() -> Iterator[Any]:
    import duckdb

    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")  # else times come in the machine's own zone
        yield database


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """DuckDB's errors become ours, naming the file."""
    import duckdb

    try:
        yield
    except duckdb.IOException as error:
        raise Refused(
            MISSING,
            f"the table of a feature view cannot be read: {_first_line(error)}",
            context=source.path,
            hint="Make it (`triune data run`), or mend its path in the definitions.",
        ) from error
    except duckdb.Error as error:
        raise Refused(
            BROKEN,
            f"the table of a feature view does not fit: {_first_line(error)}",
            context=source.path,
            hint="Do its columns have the names and types that the feature view declares?",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
