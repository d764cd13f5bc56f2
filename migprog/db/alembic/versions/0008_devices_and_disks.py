# SPDX-License-Identifier: Apache-2.0
"""The state of devices that was sent, and the copies of disks one by one.

Columns that may be null: programs of before go on writing to the table. MariaDB and MySQL write it
anew for them, as it has an index on a column that they make themselves (since 0005): once for both.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_COLUMNS = {"vfio_transferred_bytes": "BIGINT", "disks": "TEXT"}


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    columns = sa.inspect(op.get_bind()).get_columns("migrations")
    there = {column["name"] for column in columns}
    added = [f"ADD COLUMN {name} {kind}" for name, kind in _COLUMNS.items() if name not in there]
    together = op.get_bind().dialect.name == "mysql"
    for each in [", ".join(added)] if added and together else added:
        op.execute(f"ALTER TABLE migrations {each}")
