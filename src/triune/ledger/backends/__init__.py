"""Where the ledger's rows are kept: one store in SQL, over SQLite or PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from triune.core.errors import Refused
from triune.ledger.backends.database import Database


def connect(url: str) -> Database:
    """The database at an address; its driver is imported only now.

    ``sqlite:////absolute/path.db`` (odd characters as %XX) or ``postgresql+psycopg://user:password@host:port/name``.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and len(rest) > 1:
        from triune.ledger.backends.sqlite import SqliteDatabase

        return SqliteDatabase(Path(unquote(rest[1:])), url)
    if scheme in {"postgresql", "postgresql+psycopg"}:
        from triune.ledger.backends.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(url)
    raise Refused(
        "ledger-address-unknown",
        f"a ledger cannot be kept at {scheme}://",
        hint="Use sqlite:////absolute/path.db or postgresql+psycopg://host/name.",
    )
