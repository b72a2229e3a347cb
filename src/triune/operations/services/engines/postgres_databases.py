"""The databases of the cluster: made where they are missing, each time it has started."""

from __future__ import annotations

from collections.abc import Iterable


def make(port: int, host: str, user: str, password: str, names: Iterable[str]) -> None:
    """A cluster of an earlier version gets the databases that have come since; idempotent."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(
        host=host, port=port, user=user, password=password, dbname="postgres", autocommit=True
    ) as connection:
        found = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in names:
            if name not in found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
