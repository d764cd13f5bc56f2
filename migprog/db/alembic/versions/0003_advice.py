# SPDX-License-Identifier: Apache-2.0
"""What steering decided about a migration.

The column is nullable, so that older versions can still write.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is missing: MySQL cannot roll back the ALTER TABLE of an interrupted run."""
    columns = sa.inspect(op.get_bind()).get_columns("migrations")
    if "advice" not in {column["name"] for column in columns}:
        op.execute("ALTER TABLE migrations ADD COLUMN advice TEXT")
