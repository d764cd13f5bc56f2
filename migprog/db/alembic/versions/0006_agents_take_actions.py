# SPDX-License-Identifier: Apache-2.0
"""Whether an agent does something to migrations where it is asked to.

Programs of before do not know the column, and what they store has nothing in it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NAME = "takes_actions"


def upgrade() -> None:
    """MySQL cannot undo an ALTER TABLE: what an interrupted run added is kept."""
    inspector = sa.inspect(op.get_bind())
    if _NAME not in {column["name"] for column in inspector.get_columns("agents")}:
        op.add_column("agents", sa.Column(_NAME, sa.Boolean))
