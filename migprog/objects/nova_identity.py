# SPDX-License-Identifier: Apache-2.0
"""Nova's ids of migrations, and its records of them."""

from migprog.core.instant import to_store
from migprog.core.nova_match import NovaMigration, SeenMigration
from migprog.core.status import ENDED, IN_PROGRESS
from migprog.db import engine as db
from migprog.objects.migration import Migration
from migprog.objects.nova_record import NovaRecord


def seen(migration: Migration) -> SeenMigration:
    """Return a migration in the form that is compared with Nova's records."""
    return SeenMigration(
        uuid=migration.uuid,
        source_compute=migration.source_compute,
        source_node=migration.source_node,
        dest_compute=migration.dest_compute,
        dest_node=migration.dest_node,
        started_at=migration.started_at,
        seen_at=migration.ended_at or migration.sampled_at,
        in_progress=migration.in_progress,
        nova_uuid=migration.nova_uuid,
    )


def name(
    store: db.Store, migration: Migration, record: NovaMigration, at: float, is_alone: bool = True
) -> bool:
    """Store Nova's id, UUID and record of a migration; return False if another one has them.

    ``at``: now, in epoch seconds. ``is_alone``: Nova lists no other migration of the server as
    being in progress. Raises :class:`db.Unavailable`.
    """
    values = {
        "nova_id": record.id,
        "nova_uuid": record.uuid,
        "nova_user_id": record.user_id,
        "nova_project_id": record.project_id,
        "nova_record": NovaRecord.of(record, is_alone).to_store(),
        "updated_at": to_store(at),
    }
    return store.write(lambda writer: writer.name_in_nova(migration.uuid, values))


def unnamed(store: db.Store, ended_since: float, limit: int) -> list[tuple[str, str]]:
    """Return the server's and the migration's UUID of migrations whose record in Nova is not known.

    These are in progress, or have ended since ``ended_since``, in epoch seconds: the newest
    ``limit`` of each. Raises :class:`db.Unavailable`.
    """
    since = to_store(ended_since)
    return store.read(lambda reader: reader.unnamed_in_nova(IN_PROGRESS, ENDED, since, limit))
