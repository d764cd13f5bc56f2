# SPDX-License-Identifier: Apache-2.0
"""Nova's number and UUID of a migration.

Columns that may be null are added at once, and programs of before go on writing to the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_INDEX = "uniq_migrations_nova_uuid"


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    inspector = sa.inspect(op.get_bind())
    there = {column["name"] for column in inspector.get_columns("migrations")}
    for name, kind in (("nova_id", sa.Integer()), ("nova_uuid", sa.String(36))):
        if name not in there:
            op.add_column("migrations", sa.Column(name, kind))
    if _INDEX not in {index["name"] for index in inspector.get_indexes("migrations")}:
        op.create_index(_INDEX, "migrations", ["nova_uuid"], unique=True)
