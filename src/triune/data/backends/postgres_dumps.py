"""Dumps of PostgreSQL's databases, all as of one moment, by its own programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triune.core.errors import TriuneError


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a cluster is; ``programs`` holds pg_dump and pg_restore."""

    programs: Path
    host: str
    port: int
    user: str
    databases: Sequence[str]
    password: str = field(repr=False)


class PostgresDumps:
    """`triune.data.backups.ports.Databases` for one cluster.

    Each database is dumped from a snapshot of its own; the ledger's comes first. What other
    databases name of it, they name by what was committed before.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def dump(self, folder: Path) -> dict[str, dict[str, int]]:
        folder.mkdir(parents=True, exist_ok=True)
        return {name: self._dump(name, folder / f"{name}.dump") for name in self._there()}

    def _dump(self, name: str, path: Path) -> dict[str, int]:
        """A dump, and the rows of the very snapshot that it shows."""
        import psycopg

        with psycopg.connect(**self._where(name), autocommit=False) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            counted = _rows(connection)
            words = ["--format=custom", f"--snapshot={row[0] if row else ''}", f"--file={path}"]
            self._run("pg_dump", *words, name)
        return counted

    def load(self, folder: Path) -> None:
        for name in self._there():
            path = folder / f"{name}.dump"
            if path.is_file():
                words = ("--clean", "--if-exists", "--no-owner", "--exit-on-error")
                self._run("pg_restore", *words, f"--dbname={name}", str(path))

    def rows(self) -> dict[str, dict[str, int]]:
        import psycopg

        found = {}
        for name in self._there():
            with psycopg.connect(**self._where(name)) as connection:
                found[name] = _rows(connection)
        return found

    def _there(self) -> list[str]:
        import psycopg

        with psycopg.connect(**self._where("postgres")) as connection:
            known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        return [name for name in self._cluster.databases if name in known]

    def _where(self, name: str) -> dict[str, Any]:
        one = self._cluster
        return {
            "host": one.host,
            "port": one.port,
            "user": one.user,
            "password": one.password,
            "dbname": name,
        }

    def _run(self, program: str, *words: str) -> None:
        one = self._cluster
        where: Mapping[str, str] = {
            "PGHOST": one.host,
            "PGPORT": str(one.port),
            "PGUSER": one.user,
            "PGPASSWORD": one.password,
        }
        done = subprocess.run(
            [str(one.programs / program), "--no-password", *words],
            env={**os.environ, **where},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise TriuneError(
                "backup-failed",
                f"{program}: {lines[-1] if lines else done.returncode}",
                context=f"{one.host}:{one.port}",
                hint="`triune status` shows whether the database runs.",
            )


def _rows(connection: Any) -> dict[str, int]:
    from psycopg import sql

    names = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    found = {}
    for schema, table in names:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        found[table] = int(connection.execute(query).fetchone()[0])
    return found
