# SPDX-License-Identifier: Apache-2.0
"""The version of the tables, and how they are created and upgraded: by alembic.

alembic is imported by :func:`sync` alone: every process that uses the database asks for the
version, and alembic would be a tenth of its start.
"""

import contextlib
import enum
import pathlib
from collections.abc import Iterator

import sqlalchemy as sa

from migprog import exception
from migprog.db import engine

_ALEMBIC = pathlib.Path(__file__).parent / "alembic"
_VERSION = sa.table("alembic_version", sa.column("version_num"))
# Any number that no other program on that server uses.
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
    """Return the version that this program needs."""
    return versions()[-1]


def versions() -> list[str]:
    """Return all versions that this program knows, the oldest first: their files begin with
    them."""
    files = (_ALEMBIC / "versions").glob("[0-9]*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def version(store: engine.Store) -> str | None:
    """Return the database's version, None without tables. Raises :class:`engine.Unavailable`."""
    with engine.translated(store.engine), store.engine.connect() as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        found: str | None = connection.scalar(sa.select(_VERSION.c.version_num))
        return found


class Age(enum.Enum):
    """The age of a database's tables, compared with this program."""

    NONE = "none"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def age(found: str | None) -> Age:
    """Return the age of tables of the version ``found``; an unknown version is newer."""
    if found is None:
        return Age.NONE
    if found == head():
        return Age.CURRENT
    return Age.OLDER if found in versions() else Age.NEWER


def check_version(store: engine.Store) -> None:
    """Check that the tables are not older than this program.

    Newer tables serve an older program, too, so that services can be upgraded one by one. Raises
    :class:`exception.ConfigError` when they are older, and :class:`engine.Unavailable`.
    """
    found = version(store)
    if age(found) in (Age.NONE, Age.OLDER):
        there = "no tables" if found is None else f"tables of version {found}, not {head()},"
        raise exception.ConfigError(
            f"[database] connection: {there} in {store.where}: run migprog-manage db sync"
        )


def sync(store: engine.Store, to: str = "head") -> None:
    """Upgrade the tables to the newest or the given version.

    It may be repeated, run several times at once, and while conductors store. Raises
    :class:`engine.Unavailable`.
    """
    from alembic import command
    from alembic.config import Config

    with (
        engine.translated(store.engine),
        store.unhurried() as patient,
        _alone(patient),
        patient.writing() as connection,
    ):
        config = Config()
        config.set_main_option("script_location", str(_ALEMBIC))
        config.attributes["connection"] = connection
        command.upgrade(config, to)


@contextlib.contextmanager
def _alone(store: engine.Store) -> Iterator[None]:
    """Hold a lock until the upgrade is committed: so it is another connection's. On SQLite the
    transaction itself locks."""
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
