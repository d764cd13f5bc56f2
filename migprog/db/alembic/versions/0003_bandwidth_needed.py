# SPDX-License-Identifier: Apache-2.0
"""The bandwidth that a migration which does not converge would need.

A column that may be null is added at once, and programs of before go on writing to the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NAME = "bandwidth_needed_bytes_per_second"


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("migrations")}
    if _NAME not in there:
        op.add_column("migrations", sa.Column(_NAME, sa.BigInteger()))
