"""The ledger's schema over time: Alembic migrations, shipped with the package.

Alembic and SQLAlchemy are imported only when something has to change; finding the schema up
to date costs one query.
"""

from __future__ import annotations

from triune.core.errors import Conflict
from triune.ledger.backends.database import Database

HEAD = "0002"
REVISIONS = ("0001", "0002")


def current(database: Database) -> str | None:
    """The revision a database is at; None when it holds no ledger."""
    if not database.has_table("alembic_version"):
        return None
    rows = database.rows("SELECT version_num FROM alembic_version")
    return str(rows[0][0]) if rows else None


def ensure(database: Database) -> None:
    """Bring the schema up to date; when several processes try, one works and the rest wait.

    Raises
    ------
    Conflict: (``ledger-schema-newer``) a later version of Triune wrote this ledger.
    """
    found = current(database)
    if found == HEAD:
        return
    if found is not None and found not in REVISIONS:
        raise Conflict(
            "ledger-schema-newer",
            f"the ledger is at revision {found}, this Triune knows up to {HEAD}",
            hint="Use the Triune that wrote it, or let that one run `triune ledger downgrade`.",
        )
    with database.migration_lock():
        if current(database) != HEAD:
            from triune.ledger.migrations.change import upgrade

            upgrade(database.url)
