# SPDX-License-Identifier: Apache-2.0
"""The tables' version: made and brought up to date by alembic."""

import contextlib
import enum
import pathlib
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from migprog import exception
from migprog.db import engine

# Any number that nobody else on that server uses.
_LOCK = 0x6D696770
_LOCK_NAME = "migprog-db-sync"
_LOCK_TIMEOUT_SECONDS = 600
_LOCKS = {
    "mysql": (
        sa.select(sa.func.get_lock(_LOCK_NAME, _LOCK_TIMEOUT_SECONDS)),
        sa.select(sa.func.release_lock(_LOCK_NAME)),
    ),
    "postgresql": (
        sa.select(sa.func.pg_advisory_lock(_LOCK)),
        sa.select(sa.func.pg_advisory_unlock(_LOCK)),
    ),
}


def head() -> str:
    """The version that this program works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def versions() -> list[str]:
    """All that this program knows, the oldest first."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return [script.revision for script in scripts][::-1]


def version(store: engine.Store) -> str | None:
    """The database's version; None when it has no tables. Raises :class:`api.Unavailable`."""
    with engine.translated(store.engine), store.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


class Age(enum.Enum):
    """How a database's tables stand to this program."""

    NONE = "none"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def age(found: str | None) -> Age:
    """Of tables of the version ``found``; one that this program does not know is newer."""
    if found is None:
        return Age.NONE
    if found == head():
        return Age.CURRENT
    return Age.OLDER if found in versions() else Age.NEWER


def check_version(store: engine.Store) -> None:
    """Raises :class:`exception.ConfigError` when the tables are older than this program, and
    :class:`api.Unavailable` when that cannot be told.

    Newer tables serve an older program too: that is how services are upgraded one by one.
    """
    found = version(store)
    if age(found) in (Age.NONE, Age.OLDER):
        there = "no tables" if found is None else f"tables of version {found}, not {head()},"
        raise exception.ConfigError(
            f"[database] connection: {there} in {store.where}: run migprog-manage db sync"
        )


def sync(store: engine.Store, to: str = "head") -> None:
    """Bring the database up to date, or up to a version. May be repeated, run by several at once,
    and while conductors store.

    Raises :class:`api.Unavailable`.
    """
    with (
        engine.translated(store.engine),
        store.unhurried() as patient,
        _alone(patient),
        patient.writing() as connection,
    ):
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(pathlib.Path(__file__).parent / "alembic"))
    return config


@contextlib.contextmanager
def _alone(store: engine.Store) -> Iterator[None]:
    """One at a time, until what it did is committed: so the lock is another connection's. On SQLite
    the transaction itself sees to it."""
    if store.engine.dialect.name == "sqlite":
        yield
        return
    lock, unlock = _LOCKS[store.engine.dialect.name]
    with store.engine.connect() as connection:
        connection.execute(lock)
        try:
            yield
        finally:
            connection.execute(unlock)
