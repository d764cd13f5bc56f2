# SPDX-License-Identifier: Apache-2.0
"""Whether the database's user may do what a conductor does, tried without changing a row."""

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy import exc as sa_exc

from migprog.db import engine, models, where


def missing(store: engine.Store) -> str | None:
    """The server's words for the first right that a conductor needs and our user lacks, or None.

    Raises :class:`api.Unavailable` when the database does not serve.
    """
    nothing = sa.false()
    for table in models.Base.metadata.sorted_tables:
        columns = [column for column in table.columns if column.computed is None]
        for statement in (
            sa.insert(table).from_select(columns, sa.select(*columns).where(nothing)),
            sa.update(table).where(nothing).values({columns[0].name: columns[0]}),
            sa.delete(table).where(nothing),
        ):
            try:
                with store.engine.connect() as connection:
                    connection.execute(statement)
                    connection.rollback()
            except (sa_exc.DBAPIError, db_exc.DBError) as error:
                if isinstance(error, db_exc.DBConnectionError):
                    raise engine.Unavailable(
                        f"the database does not serve: {where.reason(error)}"
                    ) from error
                return where.reason(error)
    return None
