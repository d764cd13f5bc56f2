# SPDX-License-Identifier: Apache-2.0
"""Indexes by which the servers of a host are found, for the plan of its drain."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_INDEXES = (
    ("ix_servers_host_uuid", "servers", ["host", "uuid"]),
    ("ix_measurements_host_id", "measurements", ["host", "id"]),
)


def upgrade() -> None:
    """Add what is missing: MySQL cannot roll back what an interrupted run has done."""
    there = sa.inspect(op.get_bind())
    for name, table, columns in _INDEXES:
        if name not in {each["name"] for each in there.get_indexes(table)}:
            op.create_index(name, table, columns)
