"""Running the migrations: up, down, or only as SQL to read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import NullPool

from triune.ledger.migrations import HEAD


def upgrade(url: str, revision: str = HEAD) -> None:
    """Bring the database up to a revision; all or nothing."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Bring the database down to a revision (``base``: nothing is left); all or nothing."""
    _run(url, lambda config: command.downgrade(config, revision))


def downgrade_sql(url: str, start: str, revision: str) -> str:
    """The statements a downgrade would run."""
    output = io.StringIO()
    config = _config(output)
    config.attributes["dialect"] = sqlalchemy.make_url(url).get_backend_name()
    command.downgrade(config, f"{start}:{revision}", sql=True)
    return output.getvalue()


def _run(url: str, change: Callable[[Config], None]) -> None:
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                # Without this pysqlite commits before each statement that changes the schema.
                connection.execute(sqlalchemy.text("BEGIN IMMEDIATE"))
            config = _config()
            config.attributes["connection"] = connection
            change(config)
            connection.commit()
    finally:
        engine.dispose()


def _config(output: io.StringIO | None = None) -> Config:
    config = Config() if output is None else Config(output_buffer=output)
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
