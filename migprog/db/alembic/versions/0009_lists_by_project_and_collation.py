# SPDX-License-Identifier: Apache-2.0
"""An index for each filter and order of the lists, with the project or without, by status; and on
MariaDB and MySQL text that differs in trailing blanks is different text.

Programs of before lose six indexes that they used: the new ones serve them, with some sorting.
MariaDB and MySQL write the tables anew, each once; conductors wait meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_ENDS = (
    ("status", "id"),
    ("source_compute", "status", "id"),
    ("dest_compute", "status", "id"),
    ("user_id", "status", "id"),
    ("status", "started_at", "id"),
    ("status", "ended_at", "id"),
    ("status", "ended_updated_at", "id"),
)
_ADDED = {
    "migrations": [*_ENDS, *(("project_id", *columns) for columns in _ENDS)],
    "servers": [("project_id", "name", "uuid")],
}
_DROPPED = [
    f"ix_migrations_{column}_id"
    for column in (
        *("source_compute", "dest_compute", "user_id"),
        *("started_at", "ended_at", "ended_updated_at"),
    )
]
# Compared by bytes, to the last: utf8mb4_bin takes 'red ' for 'red'. MariaDB's, and MySQL's.
_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
_TABLES = ("migrations", "servers", "history", "agents")


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run did is kept."""
    together = op.get_bind().dialect.name == "mysql"
    inspector = sa.inspect(op.get_bind())
    collation = _collation() if together else None
    for table in _TABLES:
        there = {index["name"] for index in inspector.get_indexes(table)}
        added = {
            f"ix_{table}_{'_'.join(columns)}": list(columns) for columns in _ADDED.get(table, [])
        }
        added = {name: columns for name, columns in added.items() if name not in there}
        dropped = [name for name in _DROPPED if table == "migrations" and name in there]
        if not together:
            for name, columns in added.items():
                op.create_index(name, table, columns)
            for name in dropped:
                op.drop_index(name, table)
            continue
        changes = [f"ADD INDEX {name} ({', '.join(columns)})" for name, columns in added.items()]
        changes += [f"DROP INDEX {name}" for name in dropped]
        if collation is not None and _of_table(table) != collation:
            changes.append(f"CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
        if changes:
            op.execute(f"ALTER TABLE {table} {', '.join(changes)}")


def _collation() -> str | None:
    """The one that this server has; None: a server that has neither."""
    known = op.get_bind().execute(
        sa.text("SELECT collation_name FROM information_schema.collations")
    )
    names = {str(name) for (name,) in known}
    return next((name for name in _COLLATIONS if name in names), None)


def _of_table(table: str) -> str:
    found = op.get_bind().execute(
        sa.text(
            "SELECT table_collation FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name = :name"
        ),
        {"name": table},
    )
    return str(found.scalar_one())
