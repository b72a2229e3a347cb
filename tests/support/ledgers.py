"""Fixtures: a PostgreSQL for the session, and stores and ledgers over each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, running
from tests.support.sql import SqlStore as MemoryStore
from triune.core.ids import new_id
from triune.ledger import migrations
from triune.ledger.backends import connect
from triune.ledger.backends.sql import SqlStore
from triune.ledger.ports import Store
from triune.ledger.service import Ledger

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.engine)]
STORES = ["memory", *DATABASES]


@pytest.fixture(scope="session")
def lazy_postgres() -> Iterator[Callable[[], Postgres]]:
    """Starts one server at the first call, and stops it after the last test."""
    with ExitStack() as stack:
        started: list[Postgres] = []

        def get() -> Postgres:
            if not started:
                started.append(stack.enter_context(running()))
            return started[0]

        yield get


@pytest.fixture
def url_of(tmp_path: Path, lazy_postgres: Callable[[], Postgres]) -> Callable[[str], str]:
    """The URL of a new, empty database of a kind."""

    def get(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / 'ledger.db'}"
        return lazy_postgres().fresh_database(f"t{new_id().replace('-', '')}")

    return get


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    """The URL of a new, empty database, on SQLite and on PostgreSQL."""
    return url_of(request.param)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    database = connect(url_of(request.param))
    migrations.ensure(database)
    made = SqlStore(database)
    yield made
    made.close()


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger on each database."""
    opened = Ledger.open(url, tmp_path / "journal", workspace="test")
    yield opened
    opened.close()
