# SPDX-License-Identifier: Apache-2.0
"""Who asked Nova for a migration, and what else Nova's record of it says.

Columns that may be null: programs of before go on writing to the table. MariaDB and MySQL write it
anew for them, once for all.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_COLUMNS = {
    "nova_user_id": "VARCHAR(255)",
    "nova_project_id": "VARCHAR(255)",
    "nova_record": "TEXT",
}
_INDEXES = (
    ("nova_user_id", "status", "id"),
    ("nova_user_id", "nova_project_id", "status", "id"),
    ("nova_project_id", "status", "id"),
    ("nova_project_id", "status", "ended_updated_at", "id"),
)


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    inspector = sa.inspect(op.get_bind())
    there = {column["name"] for column in inspector.get_columns("migrations")}
    there |= {str(index["name"]) for index in inspector.get_indexes("migrations")}
    columns = [f"ADD COLUMN {name} {kind}" for name, kind in _COLUMNS.items() if name not in there]
    indexes = {
        name: columns
        for columns in _INDEXES
        if (name := f"ix_migrations_{'_'.join(columns)}") not in there
    }
    if op.get_bind().dialect.name == "mysql":
        added = [f"ADD INDEX {name} ({', '.join(of)})" for name, of in indexes.items()]
        if columns or added:
            op.execute(f"ALTER TABLE migrations {', '.join([*columns, *added])}")
        return
    for column in columns:
        op.execute(f"ALTER TABLE migrations {column}")
    for name, of in indexes.items():
        op.create_index(name, "migrations", list(of))
