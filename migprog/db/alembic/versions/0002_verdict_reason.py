# SPDX-License-Identifier: Apache-2.0
"""Why a verdict is what it is, in one word.

The column is nullable, so that older versions can still write.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is missing: MySQL cannot roll back the ALTER TABLE of an interrupted run."""
    columns = sa.inspect(op.get_bind()).get_columns("migrations")
    if "verdict_reason" not in {column["name"] for column in columns}:
        op.execute("ALTER TABLE migrations ADD COLUMN verdict_reason VARCHAR(32)")
