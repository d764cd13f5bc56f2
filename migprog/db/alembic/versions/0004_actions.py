# SPDX-License-Identifier: Apache-2.0
"""What operators asked for, and whether an agent's loop goes round.

The columns are nullable, so that older versions can still write.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NEW: tuple[tuple[str, str, Any], ...] = (
    ("migrations", "actions", sa.Text()),
    ("agents", "loop_age_seconds", sa.Double()),
)


def upgrade() -> None:
    """Add what is missing: MySQL cannot roll back the ALTER TABLE of an interrupted run."""
    for table, name, kind in _NEW:
        columns = sa.inspect(op.get_bind()).get_columns(table)
        if name not in {column["name"] for column in columns}:
            op.add_column(table, sa.Column(name, kind))
