# SPDX-License-Identifier: Apache-2.0
"""How Nova calls a migration."""

from migprog.core.nova import NovaMigration
from migprog.db import api as db
from migprog.objects.instant import to_store
from migprog.objects.migration import Migration


def name(store: db.Store, migration: Migration, record: NovaMigration, at: float) -> bool:
    """Have the migration known by Nova's number and UUID, too, from the instant ``at`` on (seconds
    since the epoch); False: another one has these. Raises :class:`db.Unavailable`."""
    return store.write(
        lambda writer: writer.name_in_nova(migration.uuid, record.id, record.uuid, to_store(at))
    )
