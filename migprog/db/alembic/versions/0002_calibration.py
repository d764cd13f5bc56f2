# SPDX-License-Identifier: Apache-2.0
"""How good the forecasts of a completed migration were.

Columns that may be null are added at once on all three databases, whatever the size of the table,
and programs of before go on writing to it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_COLUMNS = (
    ("eta_at_25_seconds", sa.Double),
    ("eta_off_at_25_seconds", sa.Double),
    ("eta_in_range_at_25", sa.Boolean),
    ("eta_at_50_seconds", sa.Double),
    ("eta_off_at_50_seconds", sa.Double),
    ("eta_in_range_at_50", sa.Boolean),
    ("eta_at_75_seconds", sa.Double),
    ("eta_off_at_75_seconds", sa.Double),
    ("eta_in_range_at_75", sa.Boolean),
)


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("migrations")}
    for name, kind in _COLUMNS:
        if name not in there:
            op.add_column("migrations", sa.Column(name, kind()))
