# SPDX-License-Identifier: Apache-2.0
"""A temporary database on the server of another one."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from migprog import exception
from migprog.db import models
from migprog.db.address import PORTS


@contextlib.contextmanager
def database(url: str, name: str) -> Iterator[str]:
    """Create an empty database ``name`` on the server of ``url``; give its URL; drop it at the end.

    Raises :class:`exception.ConfigError` where the user of ``url`` may not do that.
    """
    beside = sa.make_url(url)
    if beside.get_backend_name() == "sqlite":
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory:
            yield f"sqlite:///{pathlib.Path(directory) / 'migprog.sqlite'}"
        return
    engine = sa.create_engine(beside, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    try:
        _execute(engine, f"CREATE DATABASE {name}")
        yield beside.set(database=name).render_as_string(hide_password=False)
    finally:
        with contextlib.suppress(exception.ConfigError):
            _execute(engine, f"DROP DATABASE IF EXISTS {name}")


def _execute(engine: sa.Engine, statement: str) -> None:
    try:
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
    except sa_exc.DBAPIError as error:
        text = str(error.orig).partition("\n")[0]
        raise exception.ConfigError(f"[database] connection: {statement}: {text}") from error


def remove_hosts(url: str, prefix: str) -> None:
    """Delete all records of hosts whose names begin with ``prefix``."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    migration, server, history, agent = (
        *(models.Migration, models.Server),
        *(models.History, models.Agent),
    )
    theirs = migration.source_compute.startswith(prefix, autoescape=True)
    with engine.begin() as connection:
        uuids = sa.select(migration.server_uuid).where(theirs)
        ids = sa.select(migration.id).where(theirs)
        connection.execute(sa.delete(server).where(server.uuid.in_(uuids)))
        connection.execute(sa.delete(history).where(history.migration_id.in_(ids)))
        connection.execute(sa.delete(migration).where(theirs))
        connection.execute(sa.delete(agent).where(agent.host.startswith(prefix, autoescape=True)))


def address(url: str) -> tuple[str | None, int | None]:
    """Return host and port of a database's server, None where it has none."""
    parsed = sa.make_url(url)
    return parsed.host, parsed.port or PORTS.get(parsed.get_backend_name())
