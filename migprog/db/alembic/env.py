# SPDX-License-Identifier: Apache-2.0
"""Alembic runs this to bring a database up to date; ``db/schema.py`` gives the connection."""

from alembic import context

from migprog.db import models

context.configure(
    connection=context.config.attributes["connection"], target_metadata=models.Base.metadata
)
with context.begin_transaction():
    context.run_migrations()
