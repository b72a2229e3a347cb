"""The log: events, the edges they imply, and how far its readers have come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("id", _WORD, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("subject", _WORD, nullable=False),
        sa.Column("actor", _WORD, nullable=False),
        sa.Column("workspace", _WORD, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("causes", sa.Text, nullable=False),
        sa.Column("edges", sa.Text, nullable=False),
    )
    op.create_index("events_id", "events", ["id"], unique=True)
    op.create_index("events_kind", "events", ["kind", "sequence"])
    op.create_index("events_subject", "events", ["subject", "kind", "sequence"])
    op.create_index("events_time", "events", ["time", "sequence"])
    op.create_table(
        "edges",
        sa.Column("child", _WORD, nullable=False),
        sa.Column("parent", _WORD, nullable=False),
        sa.Column("role", _WORD, nullable=False),
        sa.PrimaryKeyConstraint("child", "parent", "role", name="edges_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("edges_parent", "edges", ["parent", "child", "role"])
    op.create_table(
        "positions",
        sa.Column("reader", _WORD, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("positions")
    op.drop_table("edges")
    op.drop_table("events")
