# SPDX-License-Identifier: Apache-2.0
"""The downtime that QEMU expects of a migration in progress.

The column is nullable, so that older versions can still write.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what is missing: MySQL cannot roll back the ALTER TABLE of an interrupted run."""
    columns = sa.inspect(op.get_bind()).get_columns("migrations")
    if "expected_downtime_seconds" not in {column["name"] for column in columns}:
        op.add_column("migrations", sa.Column("expected_downtime_seconds", sa.Double))
