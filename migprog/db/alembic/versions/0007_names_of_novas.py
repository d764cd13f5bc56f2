# SPDX-License-Identifier: Apache-2.0
"""Nova's number and UUID of a migration.

Columns that may be null: programs of before go on writing to the table. MariaDB and MySQL write it
anew for them, as it has an index on a column that they make themselves (since 0005): once for both.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_COLUMNS = {"nova_id": "INTEGER", "nova_uuid": "VARCHAR(36)"}
_INDEX = "uniq_migrations_nova_uuid"


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    inspector = sa.inspect(op.get_bind())
    there = {column["name"] for column in inspector.get_columns("migrations")}
    added = [f"ADD COLUMN {name} {kind}" for name, kind in _COLUMNS.items() if name not in there]
    together = op.get_bind().dialect.name == "mysql"
    for each in [", ".join(added)] if added and together else added:
        op.execute(f"ALTER TABLE migrations {each}")
    if _INDEX not in {index["name"] for index in inspector.get_indexes("migrations")}:
        op.create_index(_INDEX, "migrations", ["nova_uuid"], unique=True)
