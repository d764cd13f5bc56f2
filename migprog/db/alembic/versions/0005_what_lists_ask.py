# SPDX-License-Identifier: Apache-2.0
"""Indexes for what lists ask, and an instant of change that does not move with progress.

Programs of before do not know the column, and need not: it is the database's to make. On PostgreSQL
adding it writes the table anew; conductors wait meanwhile.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"

_NAME = "ended_updated_at"
_INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
_IF_ENDED = (
    "CASE WHEN status IN ('cancelled', 'completed', 'failed', 'unknown') THEN updated_at END"
)
_INDEXES = (
    ("migrations", ("user_id", "id")),
    ("migrations", ("started_at", "id")),
    ("migrations", ("ended_at", "id")),
    ("migrations", (_NAME, "id")),
    ("servers", ("name", "uuid")),
    ("servers", ("project_id", "uuid")),
)


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    inspector = sa.inspect(op.get_bind())
    if _NAME not in {column["name"] for column in inspector.get_columns("migrations")}:
        op.add_column("migrations", sa.Column(_NAME, _INSTANT, sa.Computed(_IF_ENDED)))
    for table, columns in _INDEXES:
        name = f"ix_{table}_{'_'.join(columns)}"
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, list(columns))
