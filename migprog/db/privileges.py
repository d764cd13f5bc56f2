# SPDX-License-Identifier: Apache-2.0
"""Checks the privileges of the database's user without changing a row."""

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy import exc as sa_exc

from migprog.db import address, engine, models


def missing(store: engine.Store) -> str | None:
    """Return the server's error for the first privilege that a conductor needs and our user lacks.

    Return None where none is missing. Raises :class:`engine.Unavailable`.
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
                        f"does not serve: {address.reason(error)}", store.where
                    ) from error
                return address.reason(error)
    return None
