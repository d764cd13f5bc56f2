# SPDX-License-Identifier: Apache-2.0
"""Removing what is old: in short transactions, beside conductors that go on storing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from migprog.db import api as db
from migprog.db import purge as statements
from migprog.objects.instant import zoneless

# A transaction of so many migrations takes some hundredths of a second.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Old:
    """How many there are, or were removed. A migration goes with its history."""

    migrations: int
    servers: int
    agents: int


def count(store: db.Store, before: datetime) -> Old:
    """What has not been told of since ``before``, whether or not it had ended then.

    Raises :class:`db.Unavailable`.
    """
    old = zoneless(before)
    return Old(*store.read(lambda reader: statements.count(reader.connection, old)))


def remove(store: db.Store, before: datetime) -> Iterator[Old]:
    """Remove that; gives after each transaction what has been removed so far.

    A server goes with the migration that speaks for it. Raises :class:`db.Unavailable`; what was
    removed until then stays so.
    """
    old = zoneless(before)
    agents = store.write(lambda writer: statements.remove_agents(writer.connection, old))
    migrations = servers = behind = 0
    while True:
        found = _next(store, old, behind)
        gone, mute = _remove(store, [uuid for _, uuid in found], old)
        migrations, servers = migrations + gone, servers + mute
        yield Old(migrations, servers, agents)
        if len(found) < _BATCH:
            return
        behind = found[-1][0]


def _next(store: db.Store, old: datetime, behind: int) -> list[tuple[int, str]]:
    return store.read(lambda reader: statements.migrations(reader.connection, old, behind, _BATCH))


def _remove(store: db.Store, uuids: list[str], old: datetime) -> tuple[int, int]:
    if not uuids:
        return 0, 0
    return store.write(lambda writer: statements.remove_migrations(writer.connection, uuids, old))
