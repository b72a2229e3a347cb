"""The ledger's tables, in SQLAlchemy Core. The migrations build them; a test compares the two.

Text that is searched by prefix is compared byte by byte (collation ``C``) on PostgreSQL, as
SQLite always does.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

metadata = MetaData()

_Word = Text().with_variant(Text(collation="C"), "postgresql")
_Sequence = BigInteger().with_variant(Integer, "sqlite")

events = Table(
    "events",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("id", _Word, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("kind", _Word, nullable=False),
    Column("subject", _Word, nullable=False),
    Column("actor", _Word, nullable=False),
    Column("workspace", _Word, nullable=False),
    Column("version", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("causes", Text, nullable=False),
    Column("edges", Text, nullable=False),
    Index("events_id", "id", unique=True),
    Index("events_kind", "kind", "sequence"),
    Index("events_subject", "subject", "kind", "sequence"),
    Index("events_time", "time", "sequence"),
)

edges = Table(
    "edges",
    metadata,
    Column("child", _Word, nullable=False),
    Column("parent", _Word, nullable=False),
    Column("role", _Word, nullable=False),
    PrimaryKeyConstraint("child", "parent", "role", name="edges_pkey"),
    Index("edges_parent", "parent", "child", "role"),
    sqlite_with_rowid=False,
)

positions = Table(
    "positions",
    metadata,
    Column("reader", _Word, primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _Word, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", _Word, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("model", _Word),
    Column("mlflow_id", _Word),
    Column("payload", Text, nullable=False),
    Index("runs_started", "started"),
)

run_metrics = Table(
    "run_metrics",
    metadata,
    Column("run", _Word, nullable=False),
    Column("key", _Word, nullable=False),
    Column("value", Double, nullable=False),
    PrimaryKeyConstraint("run", "key", name="run_metrics_pkey"),
    Index("run_metrics_value", "key", "value"),
    sqlite_with_rowid=False,
)

run_params = Table(
    "run_params",
    metadata,
    Column("run", _Word, nullable=False),
    Column("key", _Word, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run", "key", name="run_params_pkey"),
    Index("run_params_value", "key", "value"),
    sqlite_with_rowid=False,
)
