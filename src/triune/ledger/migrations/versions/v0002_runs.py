"""The index of runs: sorted and filtered by any metric or parameter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", _WORD, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger),
        sa.Column("model", _WORD),
        sa.Column("mlflow_id", _WORD),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_index("runs_started", "runs", ["started"])
    for name, value in (("run_metrics", sa.Double()), ("run_params", sa.Text())):
        op.create_table(
            name,
            sa.Column("run", _WORD, nullable=False),
            sa.Column("key", _WORD, nullable=False),
            sa.Column("value", value, nullable=False),
            sa.PrimaryKeyConstraint("run", "key", name=f"{name}_pkey"),
            sqlite_with_rowid=False,
        )
        op.create_index(f"{name}_value", name, ["key", "value"])


def downgrade() -> None:
    op.drop_table("run_params")
    op.drop_table("run_metrics")
    op.drop_table("runs")
