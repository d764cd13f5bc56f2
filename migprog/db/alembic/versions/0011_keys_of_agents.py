# SPDX-License-Identifier: Apache-2.0
"""What agents are known again by.

A column that may be null: programs of before go on writing to the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    columns = sa.inspect(op.get_bind()).get_columns("agents")
    if "key_digest" not in {column["name"] for column in columns}:
        op.execute("ALTER TABLE agents ADD COLUMN key_digest VARCHAR(64)")
